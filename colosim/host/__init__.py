"""What is inside one QEMU process: iothread lock, threads, guest, staging buffer, main loop and monitor."""
