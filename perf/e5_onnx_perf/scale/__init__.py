"""What a corpus of any size takes."""
