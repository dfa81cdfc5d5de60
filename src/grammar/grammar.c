/* grammar: one automaton with what is known of it, and the texts that grow by it.
 *
 * A mask is a walk over the vocabulary's trie with the state that each byte leads to. Walks that meet more states than
 * a machine holds are done again in a machine of their own, which knows this state alone, so what is allowed never
 * depends on what came before; the shared one then begins anew with the states that texts are in. One lock guards it
 * all: what is under it is short, but for a mask that nobody asked for before. */
#include "grammar/grammar.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "grammar/gbnf.h"
#include "grammar/machine.h"
#include "grammar/vocabulary.h"

enum { MASK_BYTES = 64 << 20 /* of all masks that are remembered, of one grammar */ };

struct grammar {
	struct network network;
	const struct grammar_vocabulary *v;
	pthread_mutex_t lock;
	struct machine machine;
	struct grammar_match *matches; /* all that there are */
	size_t holders;
	uint32_t *path; /* [depth + 1] of a walk */
};

struct grammar_match {
	struct grammar *g;
	uint32_t state;
	bool begun;
	uint64_t *own; /* its mask, where it could not be remembered */
	struct grammar_match *next, **at;
};

struct grammar *grammar_new(const char *gbnf, size_t n, const struct grammar_vocabulary *v, struct err *e)
{
	struct grammar *g = mem_alloc(sizeof(*g));

	if (gbnf_read(&g->network, gbnf, n, e) < 0) {
		mem_free(g);
		return NULL;
	}
	g->v = v;
	g->holders = 1;
	machine_init(&g->machine, &g->network);
	pthread_mutex_init(&g->lock, NULL);
	g->path = mem_array(v ? MAX(v->trie[0].depth, v->trie[1].depth) + 1 : 1, sizeof(*g->path));
	if (g->machine.cut) {
		err_set(e, "the grammar can begin in more than %d ways", GRAMMAR_WAYS);
		grammar_free(g);
		return NULL;
	}
	return g;
}

struct grammar *grammar_again(struct grammar *g)
{
	pthread_mutex_lock(&g->lock);
	g->holders++;
	pthread_mutex_unlock(&g->lock);
	return g;
}

void grammar_free(struct grammar *g)
{
	if (!g)
		return;
	pthread_mutex_lock(&g->lock);
	size_t left = --g->holders;
	pthread_mutex_unlock(&g->lock);
	if (left)
		return;
	machine_release(&g->machine);
	network_release(&g->network);
	pthread_mutex_destroy(&g->lock);
	mem_free(g->path);
	mem_free(g);
}

/* The machine anew, with the states that texts are in. */
static void forget(struct grammar *g)
{
	struct machine old = g->machine;

	machine_init(&g->machine, &g->network);
	for (struct grammar_match *m = g->matches; m; m = m->next)
		if (m->state != STATE_DEAD)
			m->state = machine_copy(&g->machine, &old, m->state);
	machine_release(&old);
}

static uint32_t next(struct grammar *g, uint32_t state, uint8_t byte) { return machine_next(&g->machine, state, byte); }

/* --- masks --- */

static size_t words(const struct grammar *g) { return (g->v->V + 63) / 64; }

static size_t walk(struct grammar *g, struct machine *m, uint32_t state, bool first, uint64_t *mask)
{
	const struct trie *t = &g->v->trie[first];
	size_t allowed = 0;

	g->path[0] = state;
	for (uint32_t i = 0; i < t->n_nodes;) {
		const struct trie_node *n = &t->node[i];
		uint32_t to = machine_next(m, g->path[n->depth - 1], n->byte);
		if (to == STATE_DEAD) {
			i = n->skip;
			continue;
		}
		for (uint32_t k = n->first; k < n->first + n->n; k++)
			mask[t->id[k] / 64] |= 1ULL << (t->id[k] & 63);
		allowed += n->n;
		g->path[n->depth] = to;
		i++;
	}
	for (size_t i = 0; m->state[state].may_end && i < g->v->ends.n; i++, allowed++)
		mask[g->v->ends.id[i] / 64] |= 1ULL << (g->v->ends.id[i] & 63);
	return allowed;
}

/* By a machine of its own. */
static size_t walk_alone(struct grammar *g, uint32_t state, bool first, uint64_t *mask)
{
	struct machine own;

	memset(mask, 0, words(g) * sizeof(*mask));
	machine_init(&own, &g->network);
	size_t allowed = walk(g, &own, machine_copy(&own, &g->machine, state), first, mask);
	machine_release(&own);
	return allowed;
}

static const uint64_t *make_mask(struct grammar *g, struct grammar_match *m, bool first)
{
	uint64_t *mask = mem_array(words(g), sizeof(*mask));

	g->machine.full = false;
	size_t allowed = walk(g, &g->machine, m->state, first, mask);
	bool full = g->machine.full;
	if (full)
		allowed = walk_alone(g, m->state, first, mask);
	if (full || g->machine.mask_bytes + words(g) * sizeof(*mask) > MASK_BYTES)
		forget(g);
	struct state *s = &g->machine.state[m->state];
	g->machine.mask_bytes += words(g) * sizeof(*mask);
	s->mask[first] = mask;
	s->allowed[first] = allowed;
	return mask;
}

const uint64_t *grammar_match_mask(struct grammar_match *m, size_t *allowed)
{
	struct grammar *g = m->g;
	bool first = !m->begun && g->v->first_differs;

	pthread_mutex_lock(&g->lock);
	const uint64_t *mask = g->machine.state[m->state].mask[first];
	if (!mask)
		mask = make_mask(g, m, first);
	*allowed = g->machine.state[m->state].allowed[first];
	if (!m->own)
		m->own = mem_array(words(g), sizeof(*m->own));
	memcpy(m->own, mask, words(g) * sizeof(*mask)); /* another text may make all be forgotten */
	pthread_mutex_unlock(&g->lock);
	return m->own;
}

/* --- a text --- */

struct grammar_match *grammar_match_new(struct grammar *g)
{
	struct grammar_match *m = mem_alloc(sizeof(*m));

	pthread_mutex_lock(&g->lock);
	*m = (struct grammar_match){ .g = g, .state = STATE_FIRST, .next = g->matches, .at = &g->matches };
	if (m->next)
		m->next->at = &m->next;
	g->matches = m;
	pthread_mutex_unlock(&g->lock);
	return m;
}

void grammar_match_free(struct grammar_match *m)
{
	if (!m)
		return;
	pthread_mutex_lock(&m->g->lock);
	*m->at = m->next;
	if (m->next)
		m->next->at = m->at;
	pthread_mutex_unlock(&m->g->lock);
	mem_free(m->own);
	mem_free(m);
}

/* Bytes one after another; where the machine has no room it begins anew, once for each byte at most. */
static uint32_t follow(struct grammar *g, struct grammar_match *m, const char *bytes, size_t n)
{
	uint32_t was = m->state, state = was;

	for (size_t i = 0; i < n && m->state != STATE_DEAD; i++) {
		g->machine.full = false;
		state = next(g, m->state, (uint8_t)bytes[i]);
		if (g->machine.full) {
			forget(g);
			state = next(g, m->state, (uint8_t)bytes[i]);
		}
		m->state = state;
	}
	return was;
}

bool grammar_match_add(struct grammar_match *m, int32_t id)
{
	struct grammar *g = m->g;
	const struct trie *t = &g->v->trie[!m->begun && g->v->first_differs];
	struct grammar_match before = { .g = g, .state = m->state };

	if (id < 0 || (size_t)id >= g->v->V || t->at[id] == t->at[id + 1])
		return false;
	pthread_mutex_lock(&g->lock);
	before.next = g->matches; /* the state that is gone back to is kept too */
	g->matches = &before;
	follow(g, m, t->bytes + t->at[id], t->at[id + 1] - t->at[id]);
	g->matches = before.next;
	bool may = m->state != STATE_DEAD;
	if (may)
		m->begun = true;
	else
		m->state = before.state;
	pthread_mutex_unlock(&g->lock);
	return may;
}

bool grammar_match_may_end(const struct grammar_match *m)
{
	pthread_mutex_lock(&m->g->lock);
	bool may = m->g->machine.state[m->state].may_end;
	pthread_mutex_unlock(&m->g->lock);
	return may;
}

bool grammar_match_is_over(struct grammar_match *m)
{
	pthread_mutex_lock(&m->g->lock);
	const struct state *s = &m->g->machine.state[m->state];
	bool over = s->may_end && !s->goes_on;
	pthread_mutex_unlock(&m->g->lock);
	return over;
}

bool grammar_accepts(struct grammar *g, const char *text, size_t n, size_t *begins)
{
	struct grammar_match *m = grammar_match_new(g);
	size_t i = 0;

	pthread_mutex_lock(&g->lock);
	for (; i < n && m->state != STATE_DEAD; i++)
		follow(g, m, text + i, 1);
	bool dead = m->state == STATE_DEAD, accepts = !dead && g->machine.state[m->state].may_end;
	pthread_mutex_unlock(&g->lock);
	if (begins)
		*begins = dead ? i - 1 : n;
	grammar_match_free(m);
	return accepts;
}
