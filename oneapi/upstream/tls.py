"""The TLS settings of all outbound connections."""

import os
import ssl

import certifi


def default_context() -> ssl.SSLContext:
    """Verifies certificates and host names by the system's roots, or the bundled ones where it has none."""
    context = ssl.create_default_context()
    # A frozen program carries an OpenSSL that looks where the build machine kept its roots.
    if not context.cert_store_stats()["x509_ca"] and not _has_files(ssl.get_default_verify_paths().capath):
        context.load_verify_locations(cafile=certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


def _has_files(folder: str | None) -> bool:
    return folder is not None and os.path.isdir(folder) and bool(os.listdir(folder))
