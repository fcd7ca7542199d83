"""A disposable real AstrBot: installed into a cache, started in a temporary folder, gone without a trace."""
