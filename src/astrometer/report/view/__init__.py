"""results.json -> the rows and sentences that every report shows: terminal, HTML, Markdown, JUnit."""
