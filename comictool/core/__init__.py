"""Ground floor: knows nothing of comics. Errors, files, images, jobs, progress, devices."""
