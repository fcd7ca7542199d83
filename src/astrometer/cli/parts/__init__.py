"""Parts of single commands that would make their files long: what is asked, measured or printed there."""
