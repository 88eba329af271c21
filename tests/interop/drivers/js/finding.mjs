// What Element Web asks when somebody looks for a message, for people, or at a room before he is in it.

const PAGE = 5;
const MOST_PAGES = 20;

const bodyOf = (event) => event.getContent().body ?? null;

/** Commands of the search box, the invitation dialog and previews of rooms. */
export function finding(client) {
    return {
        /** All pages, newest first, each result with its neighbours. */
        async find_messages({ term, room_id }) {
            const filter = { limit: PAGE, ...(room_id ? { rooms: [room_id] } : {}) };
            const found = await client.searchRoomEvents({ term, filter });
            for (let page = 0; found.next_batch; page++) {
                if (page === MOST_PAGES) throw new Error("no end of results");
                await client.backPaginateRoomEventsSearch(found);
            }
            const timelines = found.results.map((result) => result.context.getTimeline().map(bodyOf));
            return {
                count: found.count,
                highlights: [...found.highlights].sort(),
                bodies: found.results.map((result) => bodyOf(result.context.getEvent())),
                first_with_neighbours: timelines[0] ?? [],
                senders: [...new Set(found.results.map((result) => result.context.getEvent().sender?.name ?? null))],
            };
        },

        async find_people({ term, limit = 10 }) {
            const { results, limited } = await client.searchUserDirectory({ term, limit });
            return { people: results.map((user) => [user.user_id, user.display_name ?? null]), limited };
        },

        async preview_room({ room, via }) {
            return client.getRoomSummary(room, via);
        },

        async rooms_with({ user_id }) {
            return client._unstable_getSharedRooms(user_id);
        },
    };
}
