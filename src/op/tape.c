/* tape: the record of a computation. See tape.h for the contract.
 *
 * Tensors and nodes grow as arrays; names and attributes live in the tape's arena. The reverse walk is the textbook
 * one: a node whose output has a gradient asks its op to append the gradient of its inputs. Gradients of one tensor
 * with several consumers are summed in the order of the walk, which is the reverse of the record and so always the
 * same. */
#include "op/tape.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "quant/panels.h"
#include "op/accumulate.h"

void tape_init(struct tape *t, const struct batch_cap *cap, bool gradients)
{
	*t = (struct tape){ .cap = *cap, .layer = -1, .gradients = gradients };
	t->cap_tensors = t->cap_nodes = 256;
	t->tensors = mem_array(t->cap_tensors, sizeof(*t->tensors));
	t->grad = mem_array(t->cap_tensors, sizeof(*t->grad));
	t->nodes = mem_array(t->cap_nodes, sizeof(*t->nodes));
	t->n_tensors = 1; /* TENSOR_NONE */
}

void tape_release(struct tape *t)
{
	arena_release(&t->mem);
	mem_free(t->tensors);
	mem_free(t->grad);
	mem_free(t->nodes);
	*t = (struct tape){ 0 };
}

static uint32_t tensor_add(struct tape *t, const char *name, enum role role, enum axis axis, int n_dims,
                           const size_t *dim)
{
	if (t->n_tensors == t->cap_tensors) {
		t->cap_tensors *= 2;
		t->tensors = mem_grow(t->tensors, t->cap_tensors, sizeof(*t->tensors));
		t->grad = mem_grow(t->grad, t->cap_tensors, sizeof(*t->grad));
	}
	uint32_t id = t->n_tensors++;
	struct tensor *x = &t->tensors[id];
	memset(x, 0, sizeof(*x));
	snprintf(x->name, sizeof(x->name), "%s", name);
	x->role = role;
	x->axis = axis;
	x->n_dims = n_dims;
	for (int i = 0; i < n_dims; i++)
		x->dim[i] = dim[i];
	t->grad[id] = TENSOR_NONE;
	return id;
}

uint32_t tape_weight(struct tape *t, const char *name, enum dtype dtype, int n_dims, const size_t *dim)
{
	uint32_t id = tensor_add(t, name, ROLE_WEIGHT, AXIS_FIXED, n_dims, dim);
	t->tensors[id].dtype = dtype;
	return id;
}

uint32_t tape_param(struct tape *t, const char *name, int n_dims, const size_t *dim)
{
	uint32_t id = tensor_add(t, name, ROLE_PARAM, AXIS_FIXED, n_dims, dim);
	t->tensors[id].needs_grad = t->gradients;
	return id;
}

uint32_t tape_state(struct tape *t, const char *name, enum axis axis, int n_dims, const size_t *dim)
{
	return tensor_add(t, name, ROLE_STATE, axis, n_dims, dim);
}

uint32_t tape_cache(struct tape *t, const char *name, int memory, enum dtype dtype, size_t rows, size_t width)
{
	uint32_t id = tensor_add(t, name, ROLE_STATE, AXIS_FIXED, 2, (size_t[]){ rows, width });
	t->tensors[id].dtype = dtype;
	t->tensors[id].memory = memory;
	return id;
}

uint32_t tape_stack(struct tape *t, const char *name, const uint32_t *parts, size_t n)
{
	size_t dim[TENSOR_DIMS] = { n }, first = 0;

	while (first < n && !parts[first])
		first++;
	if (first == n || t->err.msg[0])
		return TENSOR_NONE;
	struct tensor like = t->tensors[parts[first]];
	if (like.n_dims >= TENSOR_DIMS)
		BUG("a stack of tensors of %d dimensions", like.n_dims);
	memcpy(dim + 1, like.dim, (size_t)like.n_dims * sizeof(*dim));
	uint32_t id = tensor_add(t, name, ROLE_STACK, AXIS_FIXED, like.n_dims + 1, dim), *copy;
	copy = arena_array(&t->mem, n, sizeof(*copy));
	memcpy(copy, parts, n * sizeof(*copy));
	struct tensor *x = &t->tensors[id];
	x->parts = copy;
	x->dtype = like.dtype;
	for (size_t i = 0; i < n; i++) {
		const struct tensor *part = &t->tensors[parts[i]];
		if (parts[i] && (part->n_dims != like.n_dims || memcmp(part->dim, like.dim, sizeof(like.dim)) != 0))
			BUG("%s and %s in one stack differ in shape", like.name, part->name);
		x->needs_grad |= parts[i] && part->needs_grad;
	}
	return id;
}

static struct node *node_add(struct tape *t, const struct op *op, const void *attr, size_t attr_bytes)
{
	if (t->n_nodes == t->cap_nodes) {
		t->cap_nodes *= 2;
		t->nodes = mem_grow(t->nodes, t->cap_nodes, sizeof(*t->nodes));
	}
	struct node *n = &t->nodes[t->n_nodes++];
	memset(n, 0, sizeof(*n));
	n->op = op;
	n->phase = t->phase;
	n->layer = t->layer;
	if (attr) {
		void *copy = arena_alloc(&t->mem, attr_bytes);
		memcpy(copy, attr, attr_bytes);
		n->attr = copy;
	}
	return n;
}

uint32_t tape_record(struct tape *t, const struct op *op, const uint32_t *in, int n_in, const void *attr,
                     size_t attr_bytes)
{
	bool needs = false;

	if (t->err.msg[0])
		return TENSOR_NONE;
	struct node *n = node_add(t, op, attr, attr_bytes);
	for (int i = 0; i < n_in; i++) {
		n->in[i] = in[i];
		needs |= in[i] && t->tensors[in[i]].needs_grad;
	}
	if (op->shape(t, n, &t->err) < 0) {
		err_prefix(&t->err, "%s", op->name);
		t->n_nodes--;
		return TENSOR_NONE;
	}
	for (int i = 0; i < NODE_OUTPUTS; i++)
		if (n->out[i]) {
			struct tensor *x = &t->tensors[n->out[i]];
			x->producer = t->n_nodes;
			if (x->role == ROLE_ACT)
				x->needs_grad = needs && x->dtype == DTYPE_F32;
		}
	return n->out[0];
}

uint32_t tape_output(struct tape *t, struct node *n, int slot, const char *name, enum axis axis, int n_dims,
                     const size_t *dim)
{
	char full[TENSOR_NAME];
	if (t->layer >= 0)
		snprintf(full, sizeof(full), "%d.%s", t->layer, name);
	else
		snprintf(full, sizeof(full), "%s", name);
	return n->out[slot] = tensor_add(t, full, ROLE_ACT, axis, n_dims, dim);
}

uint32_t tape_output_of(struct tape *t, struct node *n, int slot, const char *name, enum dtype dtype, enum axis axis,
                        int n_dims, const size_t *dim)
{
	uint32_t id = tape_output(t, n, slot, name, axis, n_dims, dim);

	t->tensors[id].dtype = dtype;
	return id;
}

uint32_t tape_scratch(struct tape *t, struct node *n, int slot, const char *name, size_t floats)
{
	return n->out[slot] = tensor_add(t, name, ROLE_SCRATCH, AXIS_FIXED, 1, &floats);
}

const struct tensor *tape_tensor(const struct tape *t, uint32_t id)
{
	if (id == TENSOR_NONE || id >= t->n_tensors)
		BUG("tensor %u of %u", id, t->n_tensors);
	return &t->tensors[id];
}

size_t tensor_row_bytes(const struct tensor *x)
{
	return dtype_row_bytes(x->dtype, x->dim[1]);
}

size_t tensor_count(const struct tensor *x)
{
	size_t n = 1;
	for (int i = 0; i < x->n_dims; i++)
		n *= x->dim[i];
	return n;
}

size_t tensor_bytes(const struct tensor *x)
{
	if (x->panels)
		return panels_bytes(x->dtype, x->dim[0], x->dim[1]);
	return tensor_count(x) / dtypes[x->dtype].block * dtypes[x->dtype].bytes +
	       (dtype_head(x->dtype) ? x->dim[0] * dtype_head(x->dtype) : 0);
}

size_t tensor_live_rows(const struct tensor *x, const struct batch *b)
{
	switch (x->axis) {
	case AXIS_ROWS: return (size_t)b->n_rows;
	case AXIS_TARGETS: return (size_t)b->n_targets;
	case AXIS_LABELS: return (size_t)b->n_labels;
	case AXIS_FIXED: break;
	}
	return x->dim[0];
}

double tensor_live(const struct tensor *x, const struct live *l)
{
	double n = x->axis == AXIS_ROWS    ? l->rows :
	           x->axis == AXIS_TARGETS ? l->targets :
	           x->axis == AXIS_LABELS   ? l->labels :
	                                     (double)x->dim[0];
	for (int i = 1; i < x->n_dims; i++)
		n *= (double)x->dim[i];
	return n;
}

bool tape_wants(const struct tape *t, uint32_t x)
{
	return x != TENSOR_NONE && t->tensors[x].needs_grad;
}

uint32_t tape_grad(const struct tape *t, uint32_t x)
{
	return x == TENSOR_NONE ? TENSOR_NONE : t->grad[x];
}

uint32_t tape_grad_target(struct tape *t, uint32_t x, bool *accumulate)
{
	char name[TENSOR_NAME];
	struct tensor like = *tape_tensor(t, x);

	if (!like.needs_grad)
		BUG("gradient of %s, which needs none", like.name);
	*accumulate = t->grad[x] != TENSOR_NONE;
	if (!*accumulate) {
		snprintf(name, sizeof(name), "d_%.*s", TENSOR_NAME - 3, like.name);
		uint32_t g = tensor_add(t, name, like.role == ROLE_PARAM ? ROLE_GRAD : ROLE_ACT, like.axis, like.n_dims,
		                        like.dim);
		t->grad[x] = g;
	}
	return t->grad[x];
}

uint32_t tape_grad_stack(struct tape *t, uint32_t stack, bool *accumulate)
{
	size_t n = tape_tensor(t, stack)->dim[0], wanted = 0, added = 0;
	uint32_t *grads = arena_array(&t->mem, n, sizeof(*grads));

	for (size_t i = 0; i < n; i++) {
		uint32_t part = t->tensors[stack].parts[i];
		bool there;
		if (!tape_wants(t, part))
			continue;
		grads[i] = tape_grad_target(t, part, &there);
		added += there;
		wanted++;
	}
	if (added != 0 && added != wanted)
		BUG("%s: some parts have a gradient already", t->tensors[stack].name);
	*accumulate = added > 0;
	return tape_stack(t, "gradients", grads, n);
}

void tape_grad_pass(struct tape *t, uint32_t x, uint32_t g)
{
	bool accumulate;

	if (t->grad[x] == TENSOR_NONE && t->tensors[x].role == ROLE_ACT) {
		t->grad[x] = g;
		return;
	}
	uint32_t target = tape_grad_target(t, x, &accumulate);
	accumulate_emit(t, target, g, accumulate);
}

void tape_emit(struct tape *t, const struct op *op, const uint32_t *in, int n_in, const uint32_t *out, int n_out,
               const void *attr, size_t attr_bytes)
{
	struct node *n = node_add(t, op, attr, attr_bytes);
	for (int i = 0; i < n_in; i++)
		n->in[i] = in[i];
	for (int i = 0; i < n_out; i++)
		n->out[i] = out[i];
}

void tape_keep(struct tape *t, uint32_t x)
{
	if (x != TENSOR_NONE)
		t->tensors[x].kept = true;
}

void tape_seed(struct tape *t, uint32_t x, uint32_t grad)
{
	t->grad[x] = grad;
}

/* Does anything above this node pass it a gradient, and does anything below want one? */
static bool node_has_gradient(const struct tape *t, const struct node *n)
{
	bool above = n->op->starts_gradient, below = false;
	for (int i = 0; i < NODE_OUTPUTS; i++)
		above |= n->out[i] && t->tensors[n->out[i]].role == ROLE_ACT && t->grad[n->out[i]] != TENSOR_NONE;
	for (int i = 0; i < NODE_INPUTS; i++)
		below |= tape_wants(t, n->in[i]);
	return above && below;
}

/* An op's backward may read its declared inputs and outputs, gradients and what is bound, nothing else: the planner
 * relies on it. */
static void check_saves(const struct tape *t, const struct node *n, uint32_t first_new)
{
	for (uint32_t i = first_new; i < t->n_nodes; i++)
		for (int j = 0; j < NODE_INPUTS; j++) {
			uint32_t x = t->nodes[i].in[j];
			bool declared = false;
			if (!x || t->tensors[x].role != ROLE_ACT || !t->tensors[x].producer)
				continue; /* only recorded nodes are producers: gradients have none */
			for (int k = 0; k < SAVED_INPUTS; k++)
				declared |= (n->op->saves >> k & 1) && n->in[k] == x;
			for (int k = 0; k < NODE_OUTPUTS; k++)
				declared |= (n->op->saves >> (SAVED_INPUTS + k) & 1) && n->out[k] == x;
			if (!declared && t->grad[n->out[0]] != x)
				BUG("backward of %s reads %s, which its row does not declare", n->op->name,
				    t->tensors[x].name);
		}
}

int tape_backward(struct tape *t, struct err *e)
{
	if (t->err.msg[0])
		return err_set(e, "%s", t->err.msg);
	if (!t->gradients)
		BUG("backward of a forward-only tape");
	t->phase = PHASE_BACKWARD;
	for (uint32_t i = t->n_nodes; i-- > 0;) {
		struct node n = t->nodes[i]; /* a copy: emitting may move the array */
		if (!node_has_gradient(t, &n))
			continue;
		if (!n.op->backward)
			return err_set(e, "%s has no gradient, and something that it computes is trained", n.op->name);
		uint32_t first_new = t->n_nodes;
		t->layer = n.layer;
		n.op->backward(t, i);
		check_saves(t, &n, first_new);
	}
	t->layer = -1;
	return 0;
}

const char *role_name(enum role r)
{
	static const char *const names[] = { "activation", "scratch", "weight", "parameter", "gradient", "state",
		                              "stack" };
	return names[r];
}

const char *phase_name(enum phase p)
{
	static const char *const names[] = { "forward", "recompute", "backward" };
	return names[p];
}
