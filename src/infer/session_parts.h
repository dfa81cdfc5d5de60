/* session_parts: what session.c and session_snapshot.c share; nobody else includes it. */
#ifndef INFER_SESSION_PARTS_H
#define INFER_SESSION_PARTS_H

#include "infer/sequences.h"
#include "infer/session.h"
#include "model/model_pass.h"

enum { NEVER = INT32_MAX };            /* a sequence's adapter is not invoked yet */
enum { MEMORIES = 4 };                 /* as many kinds of windows and states as the layers of a model have */

struct session_layer {                 /* one attention, or one state, as it was recorded */
	struct kv_tensors kv;          /* v: none where k is a state */
	int memory, at;                /* which memory keeps its tokens, as which of its layers */
};

struct session_lead {                  /* virtual tokens before the tokens of all sequences of an adapter */
	int adapter;                   /* −1: of all sequences */
	int32_t first;                 /* their numbers: first, first + 1, … */
	int n;
};

struct session {
	struct model *model;
	struct device *device;
	int n;                         /* sequences */
	int n_ctx;                     /* most tokens of one, without its lead */
	struct session_lead *leads;    /* [n_leads], at most most_leads */
	int n_leads, most_leads;
	/* those, and one more for each lead, which holds that alone (n + i) and of which all with it are branches;
	 * lengths are with leads */
	struct sequences sequences;
	struct memory_size size;       /* of a memory, without layers and window */
	struct memory memories[MEMORIES];
	struct memory_size sizes[MEMORIES]; /* [sequences.n_memories] */
	int n_logits;                  /* of a step */
	bool own_keys;                 /* an overlay changes keys or values */
	const struct overlay *overlay;
	bool invocations;              /* an overlay acts from its invocation on */
	int *adapter;                  /* [n_sequences] of several, see session_use */
	/* [n_sequences] from which of its own tokens on a sequence goes through it: 0, NEVER, or as its prompt says */
	int *invoked;
	int *order;                    /* [n_sequences] those of a step, as their rows come */
	struct session_part **part_of; /* [n_sequences] of a step */
	struct model_pass net;
	struct session_layer *layers;  /* [n_layers] */
	int n_layers;
	struct live work;              /* of all steps */
};

/* What stands before a sequence of that adapter; one of n 0 where nothing does. */
const struct session_lead *session_lead(const struct session *s, int adapter);
/* How many tokens that are before a sequence's own. */
int session_leading(const struct session *s, int sequence);
/* session_feed of tokens that invoke nothing: as the sequence's adapter is, they go on. There is room for them. */
int session_put(struct session *s, int sequence, const int32_t *ids, size_t n, const float **logits, struct err *e);

#endif
