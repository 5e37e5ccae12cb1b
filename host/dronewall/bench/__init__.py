"""Nodes on the bench and in the field, one at a time: what is put onto them."""
