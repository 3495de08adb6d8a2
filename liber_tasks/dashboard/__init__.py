"""The Streamlit dashboard; it reads stored results with a read-only role."""
