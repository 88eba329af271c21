// Runs before everything else in each document: remembers every peer connection, so that a test can read its statistics.
(() => {
    if (window.voicechatConnections) return;
    const connections = (window.voicechatConnections = []);
    const Native = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Native {
        constructor(...args) {
            super(...args);
            connections.push(this);
        }
    };
    window.voicechatMedia = async () => {
        const sum = { audioPackets: 0, audioLost: 0, audioEnergy: 0, concealed: 0, samples: 0, videoFrames: 0, videoPackets: 0, width: 0, audioSent: 0, videoSent: 0, tracks: 0 };
        for (const connection of connections) {
            if (connection.connectionState === "closed") continue;
            for (const report of (await connection.getStats()).values()) {
                if (report.type === "inbound-rtp" && report.kind === "audio") {
                    sum.tracks++;
                    sum.audioPackets += report.packetsReceived ?? 0;
                    sum.audioLost += report.packetsLost ?? 0;
                    sum.audioEnergy += report.totalAudioEnergy ?? 0;
                    sum.concealed += report.concealedSamples ?? 0;
                    sum.samples += report.totalSamplesReceived ?? 0;
                }
                if (report.type === "inbound-rtp" && report.kind === "video") {
                    sum.tracks++;
                    sum.videoFrames += report.framesDecoded ?? 0;
                    sum.videoPackets += report.packetsReceived ?? 0;
                    sum.width = Math.max(sum.width, report.frameWidth ?? 0);
                }
                if (report.type === "outbound-rtp" && report.kind === "audio") sum.audioSent += report.packetsSent ?? 0;
                if (report.type === "outbound-rtp" && report.kind === "video") sum.videoSent += report.packetsSent ?? 0;
            }
        }
        return sum;
    };
})();
