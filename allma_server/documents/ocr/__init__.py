"""Text recognition (OCR): from a page that is a picture to its text, in a process of its own."""
