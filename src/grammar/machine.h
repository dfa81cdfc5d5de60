/* machine: a network as it runs: sets of places, numbered, and what follows each at a byte. */
#ifndef GRAMMAR_MACHINE_H
#define GRAMMAR_MACHINE_H

#include "grammar/network.h"

enum { STATE_NONE, STATE_DEAD, STATE_FIRST /* the first real one: the beginning */ };

/* The frames of places, below one another. */
struct frame {
	uint32_t node, below, depth;
	uint64_t key; /* of what it and those below are, whatever their numbers */
};

struct state {
	size_t first, n; /* places */
	uint32_t *next;  /* [classes] STATE_NONE: not known yet; NULL until one is asked for */
	bool may_end, goes_on;
	uint64_t *mask[2]; /* of tokens; the first of a text apart */
	size_t allowed[2];
};

struct place {
	uint32_t node, frame;
	uint64_t key; /* the frame's, by which a set is sorted */
};

struct machine {
	const struct network *w;
	struct state *state;
	size_t n_states, cap_states;
	struct place *place; /* of all states */
	size_t n_places, cap_places;
	struct frame *frame; /* 0: none */
	size_t n_frames, cap_frames;
	uint32_t *state_slot, *frame_slot;
	size_t n_state_slots, n_frame_slots;
	size_t mask_bytes;
	bool full; /* something was not added: what it knows is less than there is */
	bool cut;  /* a set was met that had more than GRAMMAR_WAYS */
	/* work */
	struct place *found, *kept;
	uint32_t *seen, *seen_at; /* [n_seen] number in found + 1, by hash; where each found one stands there */
	uint32_t *todo;           /* [n_todo] of found, that were not looked at yet */
	size_t n_found, cap_found, n_seen, n_kept, cap_kept, n_todo;
	bool ends;
};

void machine_init(struct machine *m, const struct network *w); /* with the beginning */
void machine_release(struct machine *m);
uint32_t machine_next(struct machine *m, uint32_t state, uint8_t byte);
/* A state of another machine of this network, as one of this. */
uint32_t machine_copy(struct machine *m, const struct machine *from, uint32_t state);

#endif
