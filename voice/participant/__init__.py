"""A light client of LiveKit's protocol v1, without codecs. See README.md."""

from voice.participant.behaviour import Behaviour
from voice.participant.incoming import IncomingStream
from voice.participant.listening import stamped
from voice.participant.outgoing import OutgoingAudio
from voice.participant.participant import Failed, Participant
from voice.participant.paths import Turn
from voice.participant.signalling import Refused
from voice.participant.speaking import speak
from voice.participant.statistics import Statistics

__all__ = [
    "Behaviour",
    "Failed",
    "IncomingStream",
    "OutgoingAudio",
    "Participant",
    "Refused",
    "Statistics",
    "Turn",
    "speak",
    "stamped",
]
