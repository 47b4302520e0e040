"""JSON-LD in and out: a strict gate for what is already canonical, a JSON-LD processor in a worker for the rest."""
