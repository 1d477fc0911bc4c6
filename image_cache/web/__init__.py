"""The web application: Flask lives only here."""
