"""Files that people send: upload, download, thumbnails."""
