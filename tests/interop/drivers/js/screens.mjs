// What Element Web shows of its rooms, asked of the SDK the way Element Web does.
import * as sdk from "matrix-js-sdk";

const PAGE = 20;
const MOST_PAGES = 100;
const { Direction, NotificationCountType } = sdk;

const bodies = (events) =>
    events.filter((event) => event.getType() === "m.room.message").map((event) => event.getContent().body);

/** All of a timeline in order, from the page around an event (or from the newest one) to both ends. */
async function readAll(client, timelineSet, eventId) {
    const window = new sdk.TimelineWindow(client, timelineSet, { windowLimit: PAGE * MOST_PAGES });
    await window.load(eventId, PAGE);
    for (const direction of [Direction.Backward, Direction.Forward])
        for (let page = 0; window.canPaginate(direction); page++) {
            if (page === MOST_PAGES) throw new Error(`no end in direction ${direction}`);
            await window.paginate(direction, PAGE);
        }
    return window.getEvents();
}

/**
 * The panel of a thread, open, as Element Web has it: nothing is drawn or written there before its first page has come. Until
 * then the SDK empties the thread's timeline once more ("a remaining race", models/thread.ts), and of a thread that it does
 * not know yet it loses what was sent when the sync is faster than the answer.
 */
export async function opened(room, root) {
    const thread = room.getThread(root) ?? room.createThread(root, room.findEventById(root), [], true);
    const until = Date.now() + 10_000;
    while (!thread.initialEventsFetched) {
        if (Date.now() > until) throw new Error(`the thread ${thread.id} is not loaded`);
        await new Promise((done) => setTimeout(done, 20));
    }
    return thread;
}

/** Commands about one client's view of its rooms. */
export function screens(client) {
    const roomOf = (roomId) => client.getRoom(roomId);
    return {
        async room_list() {
            return client.getVisibleRooms().map((room) => ({
                room_id: room.roomId,
                name: room.name,
                membership: room.getMyMembership(),
                last: bodies(room.getLiveTimeline().getEvents()).at(-1) ?? null,
                unread: room.getRoomUnreadNotificationCount(NotificationCountType.Total),
                highlights: room.getRoomUnreadNotificationCount(NotificationCountType.Highlight),
                joined: room.getJoinedMemberCount(),
                topic: room.currentState.getStateEvents("m.room.topic", "")?.getContent().topic ?? null,
            }));
        },

        /** The room from beginning to end; with an event, by way of the page around it (a permalink was opened). */
        async read_room({ room_id, event_id }) {
            const events = await readAll(client, roomOf(room_id).getUnfilteredTimelineSet(), event_id);
            return { first: events[0].getType(), bodies: bodies(events) };
        },

        /** The panel of threads. */
        async threads({ room_id }) {
            const room = roomOf(room_id);
            await room.createThreadsTimelineSets();
            await room.fetchRoomThreads();
            return room.getThreads().map((thread) => ({
                root: thread.id,
                replies: thread.length,
                last: thread.replyToEvent?.getContent().body ?? null,
                unread: room.getThreadUnreadNotificationCount(thread.id, NotificationCountType.Total),
            }));
        },

        async read_thread({ room_id, root }) {
            return bodies(await readAll(client, (await opened(roomOf(room_id), root)).timelineSet));
        },

        /** Who is known to be in the room, without asking the server. */
        async known_members({ room_id }) {
            return roomOf(room_id)
                .getJoinedMembers()
                .map((member) => member.userId);
        },

        async load_members({ room_id }) {
            await roomOf(room_id).loadMembersIfNeeded();
        },

        /** An event as it is drawn: with the latest edit, the reactions, or what a redaction left. */
        async shown({ room_id, event_id }) {
            const room = roomOf(room_id);
            const event = room.findEventById(event_id);
            if (!event) return null;
            const reactions = room.relations.getChildEventsForEvent(event_id, "m.annotation", "m.reaction");
            const counts = (reactions?.getSortedAnnotationsByKey() ?? []).map(([key, events]) => [key, events.size]);
            return { body: event.getContent().body ?? null, redacted: event.isRedacted(), reactions: Object.fromEntries(counts) };
        },

        async edit({ room_id, event_id, body }) {
            const content = { msgtype: "m.text", body: `* ${body}`, "m.new_content": { msgtype: "m.text", body } };
            return sendRelated(room_id, "m.room.message", { rel_type: "m.replace", event_id }, content);
        },

        async react({ room_id, event_id, key }) {
            return sendRelated(room_id, "m.reaction", { rel_type: "m.annotation", event_id, key }, {});
        },

        async redact({ room_id, event_id }) {
            await client.redactEvent(room_id, event_id);
        },

        async set_name({ room_id, name }) {
            await client.setRoomName(room_id, name);
        },

        async set_topic({ room_id, topic }) {
            await client.setRoomTopic(room_id, topic);
        },
    };

    async function sendRelated(roomId, type, relation, content) {
        return (await client.sendEvent(roomId, type, { ...content, "m.relates_to": relation })).event_id;
    }
}
