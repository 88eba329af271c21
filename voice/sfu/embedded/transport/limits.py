"""What a peer, or somebody who is none yet, may cost."""

from __future__ import annotations

MAX_DATAGRAM = 2048
"""Bytes read of one datagram, and of one frame over TCP. Peers keep to about 1200; longer ones are thrown away."""
MAX_PACKET = 1500
"""Bytes of a plaintext RTP or RTCP packet that is sent. Leaves room in a slot for tag, index and MKI."""
DATAGRAMS_A_TURN = 256
"""Read before other work of the event loop gets its turn,"""
SENT_A_TURN = 2048
"""or sent, as one packet may go to hundreds: about 10 ms."""
TOO_LATE_NS = 500_000_000
"""A port that has not got to the end of its queue for so long throws away what is in it: late sound is no sound, and a
loop that stood still for seconds would otherwise play them all, late for as long as the call lasts."""
THROWN_AWAY_A_TURN = 8192

DTLS_MTU = 1200
"""Fits IPv6's 1280 with all headers, and most tunnels."""
MAX_WAITING_DTLS = 4
"""Datagrams kept until the peer's description, and with it its fingerprint, is here."""

MAX_DTLS_PER_SECOND = 1000
"""Datagrams of one peer: data channels cost a hundred times what media does. SCTP takes the rest for loss, and slows down."""
MAX_CHECKS_PER_SECOND = 200
"""Answered of one peer. Browsers try some dozens of pairs of addresses twenty times a second."""
PATH_RESPECT_NS = 2_000_000_000
"""So long after its owner was heard an address is not given to another transport: source addresses can be forged."""

MAX_PATHS = 8
"""Addresses of one peer at a time; a machine with IPv4, IPv6, Wi-Fi, cable and TCP has about as many."""
MAX_SSRCS = 1024
"""Streams a peer may have sent on one connection; each costs replay state until it ends. 150 screen shares need as many."""
REPLAY_WINDOW = 1024
"""Packets a late or repaired one may lie behind the newest."""

MAX_TCP_CONNECTIONS = 2048
MAX_TCP_PER_ADDRESS = 128
"""A company behind one address whose firewall blocks UDP."""
MAX_TCP_STRANGERS = 256
"""Connections that have not authenticated yet."""
TCP_STRANGER_SECONDS = 10.0
TCP_SILENT_SECONDS = 60.0
"""Clients check consent every few seconds (RFC 7675); who says nothing for so long is gone."""
MAX_TCP_BACKLOG = 256 * 1024
"""Bytes that wait for a slow TCP peer. Media above is dropped: late sound is no sound."""

MAX_MESSAGE = 64 * 1024
"""Bytes of one data channel message, either way."""
MAX_CHANNELS = 16
MAX_LABEL = 64
MAX_STREAMS = 64
"""SCTP streams with state, and thereby their half received messages."""
MAX_STREAM_ID = 1024
"""Browsers number from 0 to twice their number of channels."""
MAX_REASSEMBLY = 256 * 1024
"""Bytes of half received messages: the window we announce."""
MAX_REASSEMBLY_CHUNKS = 1024
"""Pieces of them: a peer could send one byte in each."""
MAX_GAP_SPAN = 4096
"""TSNs that the gap blocks of one SACK may cover together; each is walked through one by one."""
MAX_CHANNEL_BACKLOG = 512 * 1024
"""Bytes that wait on one of our channels."""
