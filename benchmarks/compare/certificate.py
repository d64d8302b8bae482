"""A certificate for the loopback address, made for one run."""

from __future__ import annotations

from pathlib import Path

__all__ = ["Certificate"]


class Certificate:
    """
    A certificate and the authority that has signed it, as files in *folder*.

    Attributes:
        server: The server's certificate and key.
        authority: What clients trust.
    """

    def __init__(self, folder: Path) -> None:
        import trustme  # the plain rows do without

        self.server, self.authority = folder / "server.pem", folder / "authority.pem"
        authority = trustme.CA()
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(self.server))
        authority.cert_pem.write_to_path(str(self.authority))
