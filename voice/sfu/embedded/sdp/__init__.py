"""Session descriptions: read them, answer them, offer them. See README.md."""

from voice.sfu.embedded.sdp.answering import answer
from voice.sfu.embedded.sdp.codecs import VIDEO_CODECS, AudioPolicy
from voice.sfu.embedded.sdp.description import Description, Fingerprint, SdpError, Section
from voice.sfu.embedded.sdp.offering import SubscriberSections
from voice.sfu.embedded.sdp.parsing import parse
from voice.sfu.embedded.sdp.plan import Answer, LocalDescription, Offer, SectionPlan, SentTrack

__all__ = [
    "VIDEO_CODECS",
    "Answer",
    "AudioPolicy",
    "Description",
    "Fingerprint",
    "LocalDescription",
    "Offer",
    "SdpError",
    "Section",
    "SectionPlan",
    "SentTrack",
    "SubscriberSections",
    "answer",
    "parse",
]
