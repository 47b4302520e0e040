"""Who is speaking. Computes, never fetches."""
