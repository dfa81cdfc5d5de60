/* run: walks a plan's nodes on a device. Where the device has memory of its own, run_host says what of the host's is
 * behind a tensor there, and which way it goes: by the tensor's role. See run.h. */
#include "op/run.h"

#include "base/mem.h"
#include "base/stop.h"
#include "kernel/gemm.h"
#include "op/trace.h"
#include "quant/panels.h"

/* Of tensor i: data[i] is the host's address that it is bound to (NULL: it lies on the device alone), copy[i] the
 * device's memory that was taken for it; result[i] is host memory for what is read after a step. */
struct run_host {
	void **data, **copy;
	float **result;
	bool ready;
};

/* --- memory --- */

static bool is_own(const struct run *r) { return !r->device->type->host_memory; }

static size_t scratch_bytes(const struct run *r)
{
	return r->plan->scratch_bytes * (size_t)pool_threads(r->pool);
}

static struct run_host *host_new(size_t n)
{
	struct run_host *h = mem_alloc(sizeof(*h));

	h->data = mem_array(n, sizeof(*h->data));
	h->copy = mem_array(n, sizeof(*h->copy));
	h->result = mem_array(n, sizeof(*h->result));
	return h;
}

static void init(struct run *r, const struct plan *p, struct device *d)
{
	*r = (struct run){ .plan = p, .device = d, .kernels = d->kernels, .pool = d->pool };
}

static void lay_out(struct run *r, void *arena, void *scratch)
{
	r->arena = arena;
	r->scratch = scratch;
	for (uint32_t i = 1; i < r->plan->n_tensors; i++)
		if (r->plan->offset[i] != SIZE_MAX)
			r->data[i] = r->arena + r->plan->offset[i];
}

static void place(struct run *r, void *arena, void *scratch)
{
	r->data = mem_array(r->plan->n_tensors, sizeof(*r->data));
	if (is_own(r))
		r->host = host_new(r->plan->n_tensors);
	lay_out(r, arena, scratch);
}

int run_init(struct run *r, const struct plan *p, struct device *d, struct err *e)
{
	void *arena = NULL, *scratch = NULL;

	init(r, p, d);
	if (d->type->alloc(d, &arena, p->arena_bytes, "activations", e) < 0 ||
	    d->type->alloc(d, &scratch, scratch_bytes(r), "scratch", e) < 0) {
		if (arena)
			d->type->free(d, arena, p->arena_bytes);
		*r = (struct run){ 0 };
		return -1;
	}
	place(r, arena, scratch);
	return 0;
}

static int grow(struct device *d, void **at, size_t *bytes, size_t need, const char *what, struct err *e)
{
	if (*at && *bytes >= need)
		return 0;
	if (*at)
		d->type->free(d, *at, *bytes);
	*at = NULL;
	if (d->type->alloc(d, at, need, what, e) < 0)
		return -1;
	*bytes = need;
	d->type->touch(d, *at, need);
	return 0;
}

int run_init_in(struct run *r, const struct plan *p, struct run_memory *m, struct err *e)
{
	init(r, p, m->device);
	if (grow(m->device, &m->arena, &m->arena_bytes, p->arena_bytes, "activations", e) < 0 ||
	    grow(m->device, &m->scratch, &m->scratch_bytes, scratch_bytes(r), "scratch", e) < 0) {
		*r = (struct run){ 0 };
		return -1;
	}
	r->shared = m;
	place(r, m->arena, m->scratch);
	return 0;
}

void run_memory_release(struct run_memory *m)
{
	if (m->arena)
		m->device->type->free(m->device, m->arena, m->arena_bytes);
	if (m->scratch)
		m->device->type->free(m->device, m->scratch, m->scratch_bytes);
	*m = (struct run_memory){ .device = m->device };
}

void run_touch(struct run *r)
{
	if (r->shared)
		return;
	r->device->type->touch(r->device, r->arena, r->plan->arena_bytes);
	r->device->type->touch(r->device, r->scratch, scratch_bytes(r));
}

static void host_release(struct run *r)
{
	struct run_host *h = r->host;

	for (uint32_t i = 1; i < r->plan->n_tensors; i++) {
		if (h->copy[i])
			r->device->type->free(r->device, h->copy[i], tensor_bytes(&r->plan->tensors[i]));
		mem_free(h->result[i]);
	}
	mem_free(h->data);
	mem_free(h->copy);
	mem_free(h->result);
	mem_free(h);
}

void run_release(struct run *r)
{
	if (r->host)
		host_release(r);
	if (r->plan && !r->shared) {
		r->device->type->free(r->device, r->arena, r->plan->arena_bytes);
		r->device->type->free(r->device, r->scratch, scratch_bytes(r));
	}
	mem_free(r->data);
	*r = (struct run){ 0 };
}

/* --- what comes from outside --- */

static void check_binding(const struct run *r, uint32_t tensor)
{
	if (tensor == TENSOR_NONE || tensor >= r->plan->n_tensors || r->plan->offset[tensor] != SIZE_MAX)
		BUG("binding tensor %u, which is not bound from outside", tensor);
}

void run_bind(struct run *r, uint32_t tensor, void *data)
{
	check_binding(r, tensor);
	r->data[tensor] = data;
	if (r->host)
		r->host->data[tensor] = NULL;
}

void run_bind_host(struct run *r, uint32_t tensor, const void *data)
{
	void *at = (void *)(uintptr_t)data;

	check_binding(r, tensor);
	if (!r->host)
		r->data[tensor] = at;
	else if (r->host->ready && (!r->host->copy[tensor] || r->plan->tensors[tensor].role == ROLE_WEIGHT) &&
	         r->host->data[tensor] != at)
		BUG("%s is bound anew after all was ready", r->plan->tensors[tensor].name);
	else
		r->host->data[tensor] = at;
}

static int bring_over(struct run *r, uint32_t i, struct err *e)
{
	const struct tensor *x = &r->plan->tensors[i];
	struct run_host *h = r->host;

	if (r->device->type->alloc(r->device, &h->copy[i], tensor_bytes(x), x->name, e) < 0)
		return -1;
	r->data[i] = h->copy[i];
	if (x->role == ROLE_WEIGHT)
		r->device->type->push(r->device, r->data[i], h->data[i], tensor_bytes(x));
	return 0;
}

static void take_result(struct run *r, uint32_t x)
{
	if (!r->host->result[x])
		r->host->result[x] = mem_alloc(tensor_bytes(&r->plan->tensors[x]));
}

/* Host memory for what somebody will read: what is kept for that, or made forward and read by no node. */
static void take_results(struct run *r)
{
	const struct plan *p = r->plan;
	bool *is_read = mem_array(p->n_tensors, sizeof(*is_read));

	for (uint32_t i = 0; i < p->n_nodes; i++)
		for (int j = 0; j < NODE_INPUTS; j++)
			is_read[p->nodes[i].in[j]] = true;
	for (uint32_t i = 0; i < p->n_nodes; i++) {
		uint32_t x = p->nodes[i].out[0];
		if (x && p->nodes[i].phase == PHASE_FORWARD && p->tensors[x].role == ROLE_ACT && !is_read[x])
			take_result(r, x);
	}
	for (uint32_t x = 1; x < p->n_tensors; x++)
		if (p->tensors[x].kept && p->offset[x] != SIZE_MAX)
			take_result(r, x);
	mem_free(is_read);
}

int run_ready(struct run *r, struct err *e)
{
	if (!r->host)
		return 0;
	if (r->host->ready)
		BUG("a run made ready twice");
	for (uint32_t i = 1; i < r->plan->n_tensors; i++)
		if (r->host->data[i] && bring_over(r, i, e) < 0)
			return -1;
	take_results(r);
	r->host->ready = true;
	return 0;
}

static void push_all(struct run *r)
{
	for (uint32_t i = 1; i < r->plan->n_tensors; i++) {
		const struct tensor *x = &r->plan->tensors[i];
		if (r->host->data[i] && (x->role == ROLE_PARAM || x->role == ROLE_STATE || x->changes))
			r->device->type->push(r->device, r->data[i], r->host->data[i], tensor_bytes(x));
	}
}

static void pull_all(struct run *r)
{
	for (uint32_t i = 1; i < r->plan->n_tensors; i++) {
		const struct tensor *x = &r->plan->tensors[i];
		if (r->host->data[i] && (x->role == ROLE_GRAD || x->role == ROLE_STATE))
			r->device->type->pull(r->device, r->host->data[i], r->data[i], tensor_bytes(x));
		if (r->host->result[i])
			r->device->type->pull(r->device, r->host->result[i], r->data[i],
			                      tensor_bytes(x) / x->dim[0] * tensor_live_rows(x, r->batch));
	}
}

const float *run_read(const struct run *r, uint32_t tensor)
{
	if (!r->host)
		return r->data[tensor];
	if (!r->host->result[tensor])
		BUG("%s is no result", r->plan->tensors[tensor].name);
	return r->host->result[tensor];
}

/* --- steps --- */

static bool is_there(const struct run *r, uint32_t x)
{
	const struct tensor *t = &r->plan->tensors[x];
	bool all = true;

	for (size_t i = 0; t->parts && i < t->dim[0]; i++)
		all &= !t->parts[i] || r->data[t->parts[i]];
	return t->parts ? all : r->data[x] != NULL;
}

static void check_bound(const struct run *r, const struct node *n)
{
	for (int i = 0; i < NODE_INPUTS; i++)
		if (n->in[i] && !is_there(r, n->in[i]))
			BUG("%s reads %s, which is not bound", n->op->name, r->plan->tensors[n->in[i]].name);
	for (int i = 0; i < NODE_OUTPUTS; i++)
		if (n->out[i] && !is_there(r, n->out[i]))
			BUG("%s writes %s, which is not bound", n->op->name, r->plan->tensors[n->out[i]].name);
}

static void check_batch(const struct batch_cap *cap, const struct batch *b)
{
	if (b->n_rows > cap->rows || b->n_targets > cap->targets || b->n_labels > cap->labels ||
	    b->n_segments > cap->segments)
		BUG("a batch of %d rows, %d targets, %d labels, %d segments in a plan for %d, %d, %d, %d", b->n_rows,
		    b->n_targets, b->n_labels, b->n_segments, cap->rows, cap->targets, cap->labels, cap->segments);
}

void run_node(struct run *r, const struct node *n)
{
	r->device->type->forward(r->device, r, n);
	r->device->type->sync(r->device);
}

static void run_traced(struct run *r, const struct node *n)
{
	uint32_t i = (uint32_t)(n - r->plan->nodes);
	double begin = trace_node_begin(r->trace, r->traced, i);

	run_node(r, n);
	trace_node_end(r->trace, r->traced, i, begin);
}

void run_next(struct run *r, const struct node *n)
{
	check_bound(r, n);
	if (r->trace)
		run_traced(r, n);
	else
		r->device->type->forward(r->device, r, n);
}

void run_begin(struct run *r, const struct batch *b)
{
	check_batch(&r->plan->cap, b);
	if (r->shared && (r->arena != r->shared->arena || r->scratch != r->shared->scratch))
		lay_out(r, r->shared->arena, r->shared->scratch); /* it has grown since */
	r->batch = b;
	if (r->host)
		push_all(r);
}

void run_end(struct run *r)
{
	r->device->type->sync(r->device);
	if (r->host)
		pull_all(r);
	if (r->trace)
		trace_step(r->trace, r->traced, r->batch);
	r->batch = NULL;
}

static int run_watched(struct run *r, uint32_t i)
{
	const struct run_watch *w = r->watch;

	if (w && w->before(w->ctx, i) < 0)
		return -1;
	run_next(r, &r->plan->nodes[i]);
	return w ? w->behind(w->ctx, i) : 0;
}

int run_step(struct run *r, const struct batch *b)
{
	bool before = pool_give_up(r->pool, true);
	int status = 0;

	run_begin(r, b);
	for (uint32_t i = 0; i < r->plan->n_nodes && !stop_asked() && !status; i++)
		status = run_watched(r, i);
	r->device->type->sync(r->device);
	if (stop_asked())
		status = -1;
	pool_give_up(r->pool, before);
	run_end(r);
	return status;
}

float *run_f32(const struct run *r, uint32_t tensor)
{
	return tensor == TENSOR_NONE ? NULL : r->data[tensor];
}

int32_t *run_i32(const struct run *r, uint32_t tensor)
{
	return tensor == TENSOR_NONE ? NULL : r->data[tensor];
}

const struct tensor *run_tensor(const struct run *r, uint32_t tensor)
{
	return &r->plan->tensors[tensor];
}

size_t run_rows(const struct run *r, uint32_t tensor)
{
	return tensor_live_rows(&r->plan->tensors[tensor], r->batch);
}

struct matrix run_matrix(const struct run *r, uint32_t tensor)
{
	const struct tensor *x = run_tensor(r, tensor);

	return (struct matrix){ .dtype = x->dtype,
		                .data = r->data[tensor],
		                .rows = run_rows(r, tensor),
		                .cols = x->dim[1],
		                .row_bytes = tensor_row_bytes(x),
		                .panel_bytes = x->panels ? panel_bytes(x->dtype, x->dim[1]) : 0 };
}

void *run_scratch(const struct run *r, int thread)
{
	return r->scratch + (size_t)thread * r->plan->scratch_bytes;
}
