"""What is inside one QEMU process: lock, threads, guest, staging buffer, main loop, monitor."""
