/* machine: sets of places, as the determinization of a pushdown automaton on demand. A place is a node and a list of
 * the nodes to come back to; lists share their ends and are numbered, so a place is two numbers and a set is a sorted
 * list of them. What is reached without a byte is followed at once: nothing, calls (which push where they come back to,
 * unless the rule ends there) and ends of rules (which come back). Kept are nodes with bytes.
 *
 * A place is left out where its rule cannot be ended within GRAMMAR_DEPTH frames; as every frame below was looked at in
 * the same way, each place that is kept can be gone on with to the text's end. */
#include "grammar/machine.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "grammar/grammar.h"

#ifdef KUNGFU_FUZZ /* smaller, so that a few bytes of a fuzzer's reach every limit */
enum { STATES = 1 << 9, PLACES = 1 << 15, FRAMES = 1 << 17 };
#else
enum { STATES = 1 << 15, PLACES = 1 << 20, FRAMES = 1 << 20 };
#endif
enum { FOUND = 4 * GRAMMAR_WAYS };

static size_t mix(uint32_t a, uint32_t b)
{
	uint64_t x = ((uint64_t)a << 32 | b) * 0x9E3779B97F4A7C15ULL;

	return (size_t)(x ^ x >> 29);
}

/* --- frames --- */

static void grow_frames(struct machine *m)
{
	m->cap_frames = MAX(256, 2 * m->cap_frames);
	m->frame = mem_grow(m->frame, m->cap_frames, sizeof(*m->frame));
	m->n_frame_slots = 2 * m->cap_frames;
	mem_free(m->frame_slot);
	m->frame_slot = mem_array(m->n_frame_slots, sizeof(*m->frame_slot));
	for (size_t i = 1; i < m->n_frames; i++) {
		size_t k = mix(m->frame[i].node, m->frame[i].below) & (m->n_frame_slots - 1);
		while (m->frame_slot[k])
			k = (k + 1) & (m->n_frame_slots - 1);
		m->frame_slot[k] = (uint32_t)i;
	}
}

/* The list of a node over those below; 0: there is no room. */
static uint32_t frame_of(struct machine *m, uint32_t node, uint32_t below)
{
	if (m->n_frames + 1 >= m->cap_frames)
		grow_frames(m);
	size_t k = mix(node, below) & (m->n_frame_slots - 1);
	for (; m->frame_slot[k]; k = (k + 1) & (m->n_frame_slots - 1)) {
		const struct frame *f = &m->frame[m->frame_slot[k]];
		if (f->node == node && f->below == below)
			return m->frame_slot[k];
	}
	if (m->n_frames >= FRAMES) {
		m->full = true;
		return 0;
	}
	m->frame_slot[k] = (uint32_t)m->n_frames;
	m->frame[m->n_frames] = (struct frame){ node, below, m->frame[below].depth + 1,
		                                (m->frame[below].key ^ node) * 0x9E3779B97F4A7C15ULL + node + 1 };
	return (uint32_t)m->n_frames++;
}

/* --- what is reached without a byte --- */

static void begin(struct machine *m)
{
	for (size_t i = 0; i < m->n_found; i++)
		m->seen[m->seen_at[i]] = 0;
	m->n_found = m->n_kept = m->n_todo = 0;
	m->ends = false;
}

static void grow_found(struct machine *m)
{
	m->cap_found = MAX(64, 2 * m->cap_found);
	m->found = mem_grow(m->found, m->cap_found, sizeof(*m->found));
	m->seen_at = mem_grow(m->seen_at, m->cap_found, sizeof(*m->seen_at));
	m->todo = mem_grow(m->todo, m->cap_found, sizeof(*m->todo));
	m->n_seen = 2 * m->cap_found;
	mem_free(m->seen);
	m->seen = mem_array(m->n_seen, sizeof(*m->seen));
	for (size_t i = 0; i < m->n_found; i++) {
		size_t k = mix(m->found[i].node, m->found[i].frame) & (m->n_seen - 1);
		while (m->seen[k])
			k = (k + 1) & (m->n_seen - 1);
		m->seen[k] = (uint32_t)i + 1;
		m->seen_at[i] = (uint32_t)k;
	}
}

/* A place that is to be looked at, where it was not before. */
static void find(struct machine *m, uint32_t node, uint32_t frame)
{
	const struct node *n = &m->w->node[node];

	if (n->need == NEVER || n->need + m->frame[frame].depth > GRAMMAR_DEPTH)
		return;
	if (m->n_found == m->cap_found && m->n_found < FOUND)
		grow_found(m);
	size_t k = mix(node, frame) & (m->n_seen - 1);
	for (; m->seen[k]; k = (k + 1) & (m->n_seen - 1)) {
		const struct place *p = &m->found[m->seen[k] - 1];
		if (p->node == node && p->frame == frame)
			return;
	}
	if (m->n_found == FOUND) {
		m->cut = true;
		return;
	}
	m->seen_at[m->n_found] = (uint32_t)k;
	m->todo[m->n_todo++] = (uint32_t)m->n_found;
	m->found[m->n_found++] = (struct place){ node, frame, m->frame[frame].key };
	m->seen[k] = (uint32_t)m->n_found;
}

static void keep(struct machine *m, struct place p)
{
	if (m->n_kept == m->cap_kept) {
		m->cap_kept = MAX(64, 2 * m->cap_kept);
		m->kept = mem_grow(m->kept, m->cap_kept, sizeof(*m->kept));
	}
	m->kept[m->n_kept++] = p;
}

static void follow_call(struct machine *m, struct place p, const struct edge *x)
{
	const struct network *w = m->w;
	uint32_t start = w->start[x->rule], frame = p.frame;

	if (!x->tail) {
		unsigned depth = m->frame[p.frame].depth;
		unsigned back = w->node[x->to].need, called = w->node[start].need;
		if (back == NEVER || called == NEVER || depth + MAX(back, called + 1) > GRAMMAR_DEPTH)
			return;
		frame = frame_of(m, x->to, p.frame);
		if (!frame)
			return;
	}
	find(m, start, frame);
}

static void follow(struct machine *m, struct place p)
{
	const struct node *n = &m->w->node[p.node];
	bool bytes = false;

	for (uint32_t i = 0; i < n->n; i++) {
		const struct edge *x = &m->w->edge[n->first + i];
		if (x->kind == EDGE_BYTES)
			bytes = true;
		else if (x->kind != EDGE_CALL)
			find(m, x->to, p.frame);
		else
			follow_call(m, p, x);
	}
	if (n->end && p.frame)
		find(m, m->frame[p.frame].node, m->frame[p.frame].below);
	else if (n->end)
		m->ends = true;
	if (bytes && m->n_kept < GRAMMAR_WAYS)
		keep(m, p);
	else if (bytes)
		m->cut = true;
}

/* The newest first, so that where there are too many some have got to their bytes. */
static void follow_all(struct machine *m)
{
	while (m->n_todo)
		follow(m, m->found[m->todo[--m->n_todo]]);
}

static bool is_only(const struct machine *m, size_t i) { return m->w->node[m->found[i].node].only; }

/* All that is reached; where some of it came to an EDGE_ONLY, what is reached from there alone. */
static void reach(struct machine *m)
{
	size_t first = 0, n;

	follow_all(m);
	while (first < m->n_found && !is_only(m, first))
		first++;
	if (first == m->n_found)
		return;
	m->n_kept = 0;
	for (size_t i = first; i < m->n_found && m->n_kept < GRAMMAR_WAYS; i++)
		if (is_only(m, i))
			keep(m, m->found[i]);
	n = m->n_kept;
	begin(m);
	for (size_t i = 0; i < n; i++) /* before any is followed, which takes their place */
		find(m, m->kept[i].node, m->kept[i].frame);
	follow_all(m);
}

/* --- states --- */

static int by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->node != y->node ? (x->node > y->node) - (x->node < y->node) : (x->key > y->key) - (x->key < y->key);
}

static size_t hash_places(const struct place *p, size_t n, bool ends)
{
	return (size_t)hash_64(p, n * sizeof(*p)) ^ ends;
}

static void grow_states(struct machine *m)
{
	m->cap_states = MAX(64, 2 * m->cap_states);
	m->state = mem_grow(m->state, m->cap_states, sizeof(*m->state));
	m->n_state_slots = 2 * m->cap_states;
	mem_free(m->state_slot);
	m->state_slot = mem_array(m->n_state_slots, sizeof(*m->state_slot));
	for (size_t i = STATE_FIRST; i < m->n_states; i++) {
		const struct state *s = &m->state[i];
		size_t k = hash_places(m->place + s->first, s->n, s->may_end) & (m->n_state_slots - 1);
		while (m->state_slot[k])
			k = (k + 1) & (m->n_state_slots - 1);
		m->state_slot[k] = (uint32_t)i;
	}
}

static uint32_t add_state(struct machine *m, size_t slot)
{
	if (m->n_states >= STATES || m->n_places + m->n_kept > PLACES) {
		m->full = true;
		return STATE_DEAD;
	}
	while (m->n_places + m->n_kept > m->cap_places) {
		m->cap_places = MAX(1024, 2 * m->cap_places);
		m->place = mem_grow(m->place, m->cap_places, sizeof(*m->place));
	}
	if (m->n_kept)
		memcpy(m->place + m->n_places, m->kept, m->n_kept * sizeof(*m->kept));
	m->state_slot[slot] = (uint32_t)m->n_states;
	m->state[m->n_states] =
		(struct state){ .first = m->n_places, .n = m->n_kept, .may_end = m->ends, .goes_on = m->n_kept > 0 };
	m->n_places += m->n_kept;
	return (uint32_t)m->n_states++;
}

/* The state of what is kept. */
static uint32_t state_of(struct machine *m)
{
	if (!m->n_kept && !m->ends)
		return STATE_DEAD;
	if (m->n_states + 1 >= m->cap_states)
		grow_states(m);
	if (m->n_kept)
		qsort(m->kept, m->n_kept, sizeof(*m->kept), by_place);
	size_t k = hash_places(m->kept, m->n_kept, m->ends) & (m->n_state_slots - 1);
	for (; m->state_slot[k]; k = (k + 1) & (m->n_state_slots - 1)) {
		const struct state *s = &m->state[m->state_slot[k]];
		if (s->n == m->n_kept && s->may_end == m->ends &&
		    (!s->n || !memcmp(m->place + s->first, m->kept, s->n * sizeof(*m->kept))))
			return m->state_slot[k];
	}
	return add_state(m, k);
}

static uint32_t step(struct machine *m, const struct state *s, uint8_t byte)
{
	begin(m);
	for (size_t i = 0; i < s->n; i++) {
		struct place p = m->place[s->first + i];
		const struct node *n = &m->w->node[p.node];
		for (uint32_t k = 0; k < n->n; k++) {
			const struct edge *x = &m->w->edge[n->first + k];
			if (x->kind == EDGE_BYTES && x->lo <= byte && byte <= x->hi)
				find(m, x->to, p.frame);
		}
	}
	reach(m);
	return state_of(m);
}

uint32_t machine_next(struct machine *m, uint32_t state, uint8_t byte)
{
	unsigned class = m->w->class_of[byte];

	if (state == STATE_DEAD)
		return STATE_DEAD;
	if (!m->state[state].next)
		m->state[state].next = mem_array(m->w->classes, sizeof(uint32_t));
	if (m->state[state].next[class] == STATE_NONE) {
		struct state s = m->state[state];
		bool was = m->full;
		m->full = false;
		uint32_t next = step(m, &s, byte);
		if (!m->full) /* else it may be another one when there is room */
			s.next[class] = next;
		m->full |= was;
		return next;
	}
	return m->state[state].next[class];
}

/* Frame by frame, from the lowest up. */
static uint32_t copy_frame(struct machine *m, const struct machine *from, uint32_t frame)
{
	uint32_t list[GRAMMAR_DEPTH + 1], below = 0;
	size_t n = 0;

	for (; frame; frame = from->frame[frame].below)
		list[n++] = from->frame[frame].node;
	while (n-- > 0)
		below = frame_of(m, list[n], below);
	return below;
}

uint32_t machine_copy(struct machine *m, const struct machine *from, uint32_t state)
{
	const struct state *s = &from->state[state];

	begin(m);
	m->ends = s->may_end;
	for (size_t i = 0; i < s->n; i++) {
		struct place p = from->place[s->first + i];
		keep(m, (struct place){ p.node, copy_frame(m, from, p.frame), p.key });
	}
	return state_of(m);
}

void machine_init(struct machine *m, const struct network *w)
{
	*m = (struct machine){ .w = w, .n_states = STATE_FIRST, .n_frames = 1 };
	grow_frames(m);
	m->frame[0] = (struct frame){ 0 };
	begin(m);
	find(m, w->start[0], 0);
	reach(m);
	if (state_of(m) != STATE_FIRST && !m->cut)
		BUG("a grammar that cannot begin");
}

void machine_release(struct machine *m)
{
	for (size_t i = STATE_FIRST; i < m->n_states; i++) {
		mem_free(m->state[i].next);
		mem_free(m->state[i].mask[0]);
		mem_free(m->state[i].mask[1]);
	}
	mem_free(m->state);
	mem_free(m->place);
	mem_free(m->frame);
	mem_free(m->state_slot);
	mem_free(m->frame_slot);
	mem_free(m->found);
	mem_free(m->kept);
	mem_free(m->seen);
	mem_free(m->seen_at);
	mem_free(m->todo);
}
