"""Small clusters of the consensus core alone: scripted, explored, and measured."""
