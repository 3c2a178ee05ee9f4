"""Versions and locks: which releases go together; pure, no source is asked but through what the caller gives."""
