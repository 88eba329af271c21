"""RTP and RTCP of the embedded SFU: forwards, never decodes."""

from voice.sfu.embedded.media.measures import Quality, TrackStats
from voice.sfu.embedded.media.receiver import Receiver
from voice.sfu.embedded.media.room import MediaRoom, Speaker
from voice.sfu.embedded.media.sender import PublishedTrack, Sender, Subscription

__all__ = ["MediaRoom", "PublishedTrack", "Quality", "Receiver", "Sender", "Speaker", "Subscription", "TrackStats"]
