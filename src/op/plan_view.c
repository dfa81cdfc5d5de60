/* plan_view: looks at a plan and changes nothing. See plan_view.h. */
#include "op/plan_view.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void plan_view_init(struct plan_view *v, const struct plan *p)
{
	bool *forward = mem_array(p->n_tensors, sizeof(*forward));

	*v = (struct plan_view){ .plan = p };
	v->kept = mem_array(p->n_tensors, sizeof(*v->kept));
	v->again = mem_array(p->n_tensors, sizeof(*v->again));
	for (uint32_t i = 0; i < p->n_nodes; i++) {
		const struct node *n = &p->nodes[i];
		for (int j = 0; j < NODE_OUTPUTS; j++)
			forward[n->out[j]] |= n->phase == PHASE_FORWARD;
		for (int j = 0; j < NODE_INPUTS; j++)
			v->kept[n->in[j]] |= n->phase != PHASE_FORWARD && forward[n->in[j]];
	}
	for (uint32_t i = 1; i < p->n_tensors; i++) {
		v->kept[i] &= p->tensors[i].role == ROLE_ACT;
		v->again[p->original[i]] |= p->original[i] != i;
	}
	mem_free(forward);
}

void plan_view_release(struct plan_view *v)
{
	mem_free(v->kept);
	mem_free(v->again);
	*v = (struct plan_view){ 0 };
}

static bool lies_on_input(const struct plan *p, const struct node *n, uint32_t out)
{
	for (int j = 0; j < NODE_INPUTS; j++)
		if (n->in[j] && n->in[j] != out && p->offset[n->in[j]] == p->offset[out])
			return true;
	return false;
}

struct node_view plan_view_node(const struct plan_view *v, uint32_t node)
{
	const struct plan *p = v->plan;
	const struct node *n = &p->nodes[node];
	struct node_view out = { 0 };

	for (int j = 0; j < NODE_OUTPUTS; j++) {
		uint32_t x = n->out[j];
		if (!x || p->tensors[x].role != ROLE_ACT)
			continue;
		out.makes += tensor_bytes(&p->tensors[x]);
		out.keeps += v->kept[x] ? tensor_bytes(&p->tensors[x]) : 0;
		out.again |= v->again[x];
		out.in_place |= lies_on_input(p, n, x);
	}
	return out;
}

const char *plan_tensor_name(const struct plan *p, uint32_t tensor, char out[VIEW_NAME])
{
	const struct tensor *x = &p->tensors[tensor];
	const char *name = x->name;

	if (x->role != ROLE_ACT && x->role != ROLE_SCRATCH) {
		snprintf(out, VIEW_NAME, "%s", name);
		return out;
	}
	bool gradient = !strncmp(name, "d_", 2) && strchr("0123456789", name[2]);
	name += gradient ? 2 : 0;
	name += strspn(name, "0123456789");
	snprintf(out, VIEW_NAME, "%s%s.%u%s", gradient ? "d_" : "", name + (*name == '.'), p->original[tensor],
	         p->original[tensor] == tensor ? "" : "'");
	return out;
}
