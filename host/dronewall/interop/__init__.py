"""A Coverage for other programs: GeoJSON, GeoTIFF."""
