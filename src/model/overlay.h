/* overlay: what lies over a model's own numbers while it runs: an adapter's parameters, modules saved whole, every
 * weight when all are trained.
 *
 * It has numbers of its own (params), says which of them stand for a weight of the model, and may hook in where a
 * forward is recorded. Full tuning is one without hooks. Overlays lie over each other (`under`): the lowest is nearest
 * to the model, and each finds below it what those under it have made of the model. A frozen adapter under a new one is
 * such a chain. Graphs, sessions and scorers take the topmost and read the numbers where they lie, so they run what is
 * being trained without a copy. */
#ifndef MODEL_OVERLAY_H
#define MODEL_OVERLAY_H

#include "model/model.h"
#include "op/ops.h"

struct graph;
struct overlay;

enum overlay_head {
	/* whatever stands for the embedding; models that are not tied too: then its own weight or what replaces it */
	HEAD_AS_EMBEDDING = -1,
	HEAD_OF_MODEL = -2,            /* the embedding is replaced, the head is still what lies under */
};

enum sublayer { SUBLAYER_ATTENTION, SUBLAYER_FEED_FORWARD };

/* Where a forward asks an overlay. `w` is the number of the model's weight; n_weights: the head of a model whose head
 * is its embedding. The layer is g->layer. Each makes of what it gets what goes on, or gives it back as it is; a member
 * that is NULL does nothing. What hooks record, they record on g->tape, with parameters from nn_param and nn_fixed. */
struct overlay_hooks {
	/* Rows (N,C) instead of those that would be looked up in `table`; TENSOR_NONE: look them up. The topmost that
	 * answers is taken. */
	uint32_t (*lookup)(struct graph *g, const struct overlay *o, int w, enum embed_source source, uint32_t table);
	/* y, the rows (N,C) of the model's tokens as all have made them, with those of its virtual tokens in their
	 * place (op_virtual_rows); they are zeros. Asked of all, one that is apart too: the rows are its own. */
	uint32_t (*virtual_rows)(struct graph *g, const struct overlay *o, uint32_t y);
	/* The rows y (N,C) of an embedding. */
	uint32_t (*embed)(struct graph *g, const struct overlay *o, int w, enum embed_source source, uint32_t y);
	/* Before a linear layer's product, the head's too: may change l->x and l->w, and fill in terms that are added,
	 * or, but of the head, as l->residual numbers (N,O) that are. Asked from the topmost down, so each sees the x
	 * that its own product would have. Returns whether `after` is to be asked; of the head it cannot be. */
	bool (*linear)(struct graph *g, const struct overlay *o, int w, struct linear *l);
	/* The same of all experts' matrices of a layer, weights w … w + E − 1, but that only terms may be filled in:
	 * who would do something else to one refuses where it is made. */
	void (*experts)(struct graph *g, const struct overlay *o, int w, struct experts *l);
	/* The product y (N,O) with the terms of those under it and its own; from the lowest up. Of rest, bias and
	 * residual are still to be added: who adds one sets it to none. Only the topmost finds the residual there. */
	uint32_t (*after)(struct graph *g, const struct overlay *o, int w, struct linear *rest, uint32_t y);
	/* Keys and values (N,G·D) of a layer's attention, rotated, before they are kept. */
	void (*attention)(struct graph *g, const struct overlay *o, uint32_t *k, uint32_t *v);
	/* The norm y of x, by weight w. */
	uint32_t (*norm)(struct graph *g, const struct overlay *o, int w, uint32_t x, uint32_t y);
	/* What a half of a block adds to x (N,C), or what is normed and then added: y, made from h, the norm of x or x
	 * itself. */
	uint32_t (*sublayer)(struct graph *g, const struct overlay *o, enum sublayer kind, uint32_t x, uint32_t h,
	                     uint32_t y);
	/* All that it adds goes through nn_served, or to rows of its virtual tokens, so that it may serve some rows
	 * alone; and whether that changes the order in which it, or what others do, is added up, and so bits. */
	bool by_row, other_order;
};

/* Tokens that call an adapter: it acts from the last place on where they stand in a text. n 0: it always acts. */
struct invocation { const int32_t *ids; int32_t n; };

struct overlay {
	const struct overlay *under;   /* or NULL: the model itself */
	struct params params;
	struct params fixed;           /* numbers that are never trained: random matrices, what was measured */
	bool fixed_changes;            /* they follow the params, and are others once these are */
	/* [n_weights] the parameter that stands for a weight, −1: none */
	int *replaced;
	/* [n_weights] numbers that stand for a weight that is added to and is not the model's own (f32); NULL: none */
	const float **base;
	/* [n_weights] NULL: none has any. Numbers (f32, rows as the model's file has them) that a weight is computed
	 * with instead of what stands for it, and that whoever put them there makes anew of it; it learns as if they
	 * were the same. What an overlay without any would add to such a product is in them already. Their addresses
	 * stay. */
	float **stored;
	size_t at;                     /* where params begin in the flat buffer of all that is trained (params_join) */
	int head;                      /* the parameter that is a tied model's head, or one of overlay_head */
	bool frozen;                   /* its params are not trained; those that lie over it may be */
	/* of a batch whose segments have adapters: the one whose rows are its own, others pass by it; −1: all rows */
	int serves;
	/* of those: not masked (by_row) but computed alone, wherever it does something, and its rows chosen: any kind
	 * can be so, at the price of one more product */
	bool apart;
	struct invocation invocation;      /* all before it has the base's keys and values (by_row is wanted) */
	/* how many tokens stand before every document and sequence that it serves: numbers V + virtual_before on, whose
	 * rows, or keys and values, are the hooks' own. Nobody counts them among a document's tokens, predicts or can
	 * draw them. */
	int virtual_tokens;
	int virtual_before;            /* virtual tokens of others beside it, which have the numbers before its own */
	/* what it does differs by document (dropout): while it is trained, those that begin alike share nothing */
	bool unshared;
	const struct overlay_hooks *hooks; /* or NULL */
	const void *ctx;               /* the hooks' own */
};

/* One that changes nothing yet. */
void overlay_init(struct overlay *o, const struct model *m);
/* Full tuning: a parameter for each weight, rows in the order of the file. Their numbers are the caller's to fill in
 * once params are sealed. */
void overlay_replace_all(struct overlay *o, const struct model *m);
/* The same of some: which[n_weights]; NULL: of all. */
void overlay_replace(struct overlay *o, const struct model *m, const bool *which);
void overlay_release(struct overlay *o);

/* Of all from `o` (or NULL) down: */
/* whether the model's own weight is still computed with: it is not replaced, unless as a head that is not */
bool overlays_read(const struct overlay *o, const struct model *m, int weight);
/* whether a tied model's head is a parameter, so that its embedding is an embedding alone */
bool overlays_own_head(const struct overlay *o);
bool overlays_unshared(const struct overlay *o);
/* The one whose virtual tokens stand before a text of adapter `adapter` (segment.adapter), or NULL. */
const struct overlay *overlays_before(const struct overlay *o, int adapter);
int overlays_virtual(const struct overlay *o);   /* the most virtual tokens before a document */
int overlays_virtual_rows(const struct overlay *o); /* virtual tokens of all: V + so many numbers are there */
/* From which of a text's n tokens on its rows are other ones than the model's: of adapter `adapter`
 * (segment.adapter), or of one that serves all. 0: all are; n: none is. `overlay`: a struct overlay, the topmost, as
 * forest_options has it. */
int32_t overlays_invoked(const void *overlay, int adapter, const int32_t *ids, int32_t n);
bool overlays_invocations(const struct overlay *o); /* whether any of them has such tokens */
/* positions that are left for a text's own tokens, whatever its adapter */
int overlays_context(const struct overlay *o, const struct model *m);

#endif
