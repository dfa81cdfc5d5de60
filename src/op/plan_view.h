/* plan_view: a plan as a reader follows it: the data's names, what of it waits for backward, what is made again there.
 *
 * An activation's name is what its op calls it and its number on the tape, "linear.9"; what is made again in backward
 * has the name of the first with a tick, "norm.6'". Everything else has the name it was recorded with. */
#ifndef OP_PLAN_VIEW_H
#define OP_PLAN_VIEW_H

#include "op/plan.h"

enum { VIEW_NAME = TENSOR_NAME + 16 };

struct plan_view {
	const struct plan *plan;
	bool *kept;               /* [n_tensors] made in the forward, read in backward */
	bool *again;              /* [n_tensors] made again in backward */
};

/* The bytes that a node writes into the arena, scratch left out; of these, what is kept for backward. */
struct node_view {
	size_t makes, keeps;
	bool again;               /* what it makes is made again later */
	bool in_place;            /* it writes over what it reads */
};

void plan_view_init(struct plan_view *v, const struct plan *p);
void plan_view_release(struct plan_view *v);
struct node_view plan_view_node(const struct plan_view *v, uint32_t node);
const char *plan_tensor_name(const struct plan *p, uint32_t tensor, char out[VIEW_NAME]); /* out */

#endif
