/* session: tokens of several sequences through a model, step by step, with what it remembers of them. A
 * forward-only tape whose attention reads what a memory keeps (infer/memory.h); which tokens are where is the
 * sequences' (infer/sequences.h). Attention goes by ranges of keys, so it meets the same keys in the same ranges
 * and lanes as in a sequence alone, and a row's bits do not depend on the rows beside it: branches, chunks and one
 * by one give the same logits.
 *
 * Logits are computed for a part's last tokens alone, as many as are wanted. */
#include "infer/session.h"

#include <string.h>

#include "base/mem.h"
#include "infer/session_parts.h"
#include "op/kv_cache.h"
#include "op/trace.h"

enum { FEW_ROWS = 16 /* whose step is bound by reading the weights */ };
#define TIME_SECONDS 0.03              /* of repetitions when it is asked how long a step takes */

static const struct memory_type *type_of(const struct memory_size *size)
{
	return size->state ? &memory_state : size->window ? &memory_window : &memory_kv;
}

/* The memory of layers with this window, or states of so many numbers, a new one where there is none; a window of a
 * whole context is none. */
static int memory_of(struct session *s, int window, size_t state)
{
	int *n = &s->sequences.n_memories, k = 0;

	window = window < s->sequences.n_ctx ? window : 0;
	while (k < *n && (s->sizes[k].window != window || s->sizes[k].state != state))
		k++;
	if (k == MEMORIES)
		BUG("layers with more than %d kinds of windows and states", MEMORIES);
	if (k == *n) {
		s->sizes[(*n)++] = s->size;
		s->sizes[k].window = window;
		s->sizes[k].state = state;
	}
	return k;
}

/* One more of what the layers keep, in memory m. */
static struct session_layer *new_layer(struct session *s, int m)
{
	s->layers = mem_grow(s->layers, (size_t)s->n_layers + 1, sizeof(*s->layers));
	s->layers[s->n_layers] = (struct session_layer){ .memory = m, .at = s->sizes[m].n_layers++ };
	return &s->layers[s->n_layers++];
}

static struct kv_tensors add_layer(void *ctx, int window)
{
	struct session *s = ctx;
	struct tape *t = &s->net.pass.tape;
	int m = memory_of(s, window, 0);
	struct memory_size *size = &s->sizes[m];
	size_t keys = memory_keys(type_of(size), size);
	enum dtype k = size->types.k, v = size->types.v;

	struct session_layer *layer = new_layer(s, m);
	layer->kv.k = tape_cache(t, "k_cache", m, k, keys, kv_width(k, size->G, size->D));
	layer->kv.v = tape_cache(t, "v_cache", m, v, keys, kv_width(v, size->G, size->D));
	return layer->kv;
}

static uint32_t add_state(void *ctx, size_t numbers)
{
	struct session *s = ctx;
	int m = memory_of(s, 0, numbers);
	struct session_layer *layer = new_layer(s, m);

	layer->kv.k = tape_cache(&s->net.pass.tape, "state", m, DTYPE_F32, (size_t)memory_state.places(&s->sizes[m]),
	                         numbers);
	return layer->kv.k;
}

static void record(struct session *s, const struct overlay *o)
{
	/* no more are ever there, or touched */
	int32_t n = s->n, rows = (int32_t)MIN((size_t)SESSION_ROWS, (size_t)n * (size_t)s->sequences.n_ctx);
	s->n_logits = MIN(s->n_logits ? s->n_logits : n, rows);
	struct batch_cap cap = { .rows = rows,
		                 .targets = s->n_logits,
		                 .segments = n,
		                 .docs = n,
		                 .keys = s->sequences.n_ranges * KV_RANGE,
		                 .memories = MEMORIES };
	struct model_pass *p = &s->net;

	model_pass_begin(p, s->device, &cap, s->model, o, false);
	p->graph.caches = add_layer;
	p->graph.states = add_state;
	p->graph.caches_ctx = s;
	p->result = graph_logits(&p->graph, graph_hidden(&p->graph));
}

/* Does anything that is written into the cache depend on an overlay's numbers? */
static bool has_own_keys(const struct session *s)
{
	const struct tape *t = &s->net.pass.tape;
	bool *depends = mem_array(t->n_tensors, sizeof(*depends)), own = false;

	graph_mark_overlays(&s->net.graph, depends);
	for (uint32_t i = 0; i < t->n_nodes; i++) {
		const struct node *n = &t->nodes[i];
		bool any = false;
		for (int j = 0; j < NODE_INPUTS; j++)
			any |= n->in[j] && depends[n->in[j]];
		for (int j = 0; j < NODE_OUTPUTS; j++)
			if (n->out[j] && any)
				depends[n->out[j]] = true;
	}
	for (int i = 0; i < s->n_layers; i++)
		own |= depends[s->layers[i].kv.k] || depends[s->layers[i].kv.v];
	mem_free(depends);
	return own;
}

static void bind_cache(const struct session *s, struct run *r)
{
	size_t bytes;

	for (int i = 0; i < s->n_layers; i++) {
		const struct session_layer *l = &s->layers[i];
		const struct memory *m = &s->memories[l->memory];
		run_bind(r, l->kv.k, m->type->states ? (void *)memory_states(m, l->at)
		                                     : memory_rows(m, l->at, false, &bytes));
		if (l->kv.v)
			run_bind(r, l->kv.v, memory_rows(m, l->at, true, &bytes));
	}
}

/* --- leads --- */

const struct session_lead *session_lead(const struct session *s, int adapter)
{
	static const struct session_lead none;

	for (int i = 0; i < s->n_leads; i++)
		if (s->leads[i].adapter < 0 || s->leads[i].adapter == adapter)
			return &s->leads[i];
	return &none;
}

int session_leading(const struct session *s, int sequence) { return session_lead(s, s->adapter[sequence])->n; }

/* The sequence that holds a lead alone. */
static int holder(const struct session *s, const struct session_lead *l) { return s->n + (int)(l - s->leads); }

static int longest_lead(const struct session *s)
{
	int most = 0;

	for (int i = 0; i < s->n_leads; i++)
		most = MAX(most, s->leads[i].n);
	return most;
}

static int count_soft(const struct overlay *o)
{
	int n = 0;

	for (; o; o = o->under)
		n += o->virtual_tokens > 0;
	return n;
}

/* Virtual tokens are those of the overlays now; none is computed yet. */
static int set_leads(struct session *s, const struct overlay *o, struct err *e)
{
	if (count_soft(o) > s->most_leads)
		return err_set(e, "%d adapters with virtual tokens beside each other: there is room for %d",
		               count_soft(o), s->most_leads);
	for (int i = 0; i < s->n_leads; i++)
		sequence_truncate(&s->sequences, s->n + i, 0);
	s->n_leads = 0;
	for (; o; o = o->under)
		if (o->virtual_tokens)
			s->leads[s->n_leads++] = (struct session_lead){
				o->serves, s->model->config.V + o->virtual_before, o->virtual_tokens
			};
	return longest_lead(s) + s->n_ctx <= s->sequences.n_ctx ? 0 :
	       err_set(e, "%d virtual tokens before a context of %d: there are %d positions, a smaller context leaves "
	                  "room", longest_lead(s), s->n_ctx, s->sequences.n_ctx);
}

static int start(struct session *s, const struct overlay *o, struct err *e)
{
	if (set_leads(s, o, e) < 0)
		return -1;
	s->overlay = o;
	s->invocations = overlays_invocations(o);
	record(s, o);
	return pass_plan(&s->net.pass, NULL, e) < 0 ? -1 : model_pass_start(&s->net, NULL, e);
}

static int build(struct session *s, const struct overlay *o, struct err *e)
{
	if (start(s, o, e) < 0)
		return -1;
	for (int i = 0; i < s->sequences.n_memories; i++)
		if (memory_init(&s->memories[i], s->device, type_of(&s->sizes[i]), &s->sizes[i], e) < 0)
			return -1;
	s->own_keys = has_own_keys(s);
	bind_cache(s, &s->net.pass.run);
	return 0;
}

/* From where on an adapter acts in a prompt; NEVER: it is not invoked there. */
static int invoked_in(const struct session *s, int adapter, const int32_t *ids, size_t n)
{
	int at = s->invocations ? overlays_invoked(s->overlay, adapter, ids, (int32_t)n) : 0;

	return at > 0 && at == (int)n ? NEVER : at;
}

/* The same of no prompt, which a token stands for that there is not. */
static int uninvoked(const struct session *s, int adapter)
{
	static const int32_t nothing = -1;

	return invoked_in(s, adapter, &nothing, 1);
}

int session_new(struct session **out, struct model *m, const struct overlay *o, struct device *d,
                const struct session_size *size, struct err *e)
{
	const struct config *c = &m->config;
	int n_ctx = size->n_ctx, n = size->n_sequences ? size->n_sequences : 1, virtual = overlays_virtual(o);
	int leads = MAX(count_soft(o), size->n_soft);

	if (model_want_causal(m, e) < 0)
		return -1;
	if (n_ctx < 1 || n_ctx > c->n_ctx)
		return err_set(e, "a context of %d tokens: the model has %d positions", n_ctx, c->n_ctx);
	if (virtual && virtual > c->n_ctx - 2)
		return err_set(e, "the adapter's %d virtual tokens leave no room for a prompt and an answer: the model "
		                  "has %d positions", virtual, c->n_ctx);
	int own = MIN(n_ctx, overlays_context(o, m));
	n_ctx = MIN(own + MAX(virtual, size->soft_tokens), c->n_ctx);
	if (n < 1 || n > SESSION_ROWS || n + leads > INT32_MAX / ROUND_UP(n_ctx, KV_RANGE))
		return err_set(e, "%d sequences of %d tokens are more than a session can hold", n, n_ctx);
	struct session *s = mem_alloc(sizeof(*s));
	*s = (struct session){ .model = m, .device = d, .n = n, .n_ctx = own, .most_leads = leads,
		               .n_logits = size->n_logits };
	s->leads = mem_array((size_t)leads, sizeof(*s->leads));
	n += leads;
	s->size = (struct memory_size){ .G = (size_t)c->G,
		                        .D = (size_t)c->D,
		                        .types = size->cache,
		                        .n_ranges = sequences_ranges(n, n_ctx),
		                        .n_sequences = n,
		                        .rows = SESSION_ROWS };
	sequences_init(&s->sequences, n, n_ctx, s->memories, 0); /* as many as the layers will want */
	s->adapter = mem_array((size_t)n, sizeof(*s->adapter));
	s->invoked = mem_array((size_t)n, sizeof(*s->invoked));
	s->order = mem_array((size_t)n, sizeof(*s->order));
	s->part_of = mem_array((size_t)n, sizeof(*s->part_of));
	if (build(s, o, e) < 0) {
		session_free(s);
		return -1;
	}
	for (int i = 0; i < n; i++)
		s->invoked[i] = uninvoked(s, 0);
	*out = s;
	return 0;
}

int session_lay(struct session *s, const struct overlay *o, struct err *e)
{
	model_pass_release(&s->net);
	s->n_layers = 0;
	for (int i = 0; i < s->sequences.n_memories; i++)
		s->sizes[i].n_layers = 0;
	if (start(s, o, e) < 0)
		return -1;
	s->own_keys = has_own_keys(s);
	bind_cache(s, &s->net.pass.run);
	for (int i = 0; i < s->n; i++)
		if (session_length(s, i) == 0)
			s->invoked[i] = uninvoked(s, s->adapter[i]);
	return 0;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	model_pass_release(&s->net);
	sequences_release(&s->sequences);
	for (int i = 0; i < MEMORIES; i++)
		memory_release(&s->memories[i]);
	mem_free(s->layers);
	mem_free(s->leads);
	mem_free(s->adapter);
	mem_free(s->invoked);
	mem_free(s->order);
	mem_free(s->part_of);
	mem_free(s);
}

/* --- steps --- */

static void check_sequence(const struct session *s, int sequence)
{
	if (sequence < 0 || sequence >= s->n)
		BUG("sequence %d of %d", sequence, s->n);
}

static int check_room(const struct session *s, int sequence, size_t n, struct err *e)
{
	int length = session_length(s, sequence);

	if (n <= (size_t)(s->n_ctx - length))
		return 0;
	return err_set(e, "the context is full: %d tokens are in it and %zu are to be added, it holds %d", length, n,
	               s->n_ctx);
}

static int check_parts(const struct session *s, const struct session_part *parts, int n, struct err *e)
{
	int rows = 0, wanted = 0;

	if (n > s->n)
		BUG("%d parts of %d sequences", n, s->n);
	for (int i = 0; i < n; i++) {
		if (parts[i].n < 1)
			BUG("part %d: %d tokens", i, parts[i].n);
		if (check_room(s, parts[i].sequence, (size_t)parts[i].n, e) < 0)
			return -1;
		rows += parts[i].n;
		wanted += parts[i].wanted;
		if (parts[i].wanted > parts[i].n)
			BUG("logits of %d of %d tokens", parts[i].wanted, parts[i].n);
	}
	if (wanted > s->net.pass.batch.cap.targets)
		BUG("logits of %d tokens, at most %d", wanted, s->net.pass.batch.cap.targets);
	if (rows < 1 || rows > s->net.pass.batch.cap.rows)
		BUG("a step of %d tokens, at most %d", rows, s->net.pass.batch.cap.rows);
	return 0;
}

/* Row i of the part sees what is there and i + 1 rows of its own. */
static struct live work_of(const struct session *s, const struct session_part *p)
{
	struct live l = { .rows = p->n, .targets = p->wanted };

	live_see(&l, s->sequences.length[p->sequence] + 1, p->n);
	return l;
}

/* The position from which on a sequence's rows go through its adapter. */
static int32_t invoked_at(const struct session *s, int sequence)
{
	int at = s->invoked[sequence];

	return at == 0 || at == NEVER ? at : at + session_leading(s, sequence);
}

/* A part's rows, which are a tree of their own. */
static void put_part(struct session *s, const struct session_part *p)
{
	struct batch *b = &s->net.pass.batch;
	int32_t row = b->n_rows, at = s->sequences.length[p->sequence];

	for (int32_t i = 0; i < p->n; i++) {
		b->ids[row + i] = p->ids[i];
		b->pos[row + i] = at + i;
		b->key[row + i] = s->sequences.key[p->sequence] + at + i;
	}
	b->segments[b->n_segments] = (struct segment){ .start = row,
		                                       .len = p->n,
		                                       .parent = -1,
		                                       .pos0 = at,
		                                       .end = row + p->n,
		                                       .adapter = s->adapter[p->sequence],
		                                       .invoked = invoked_at(s, p->sequence) };
	b->tree[b->n_segments++] = row;
	b->n_rows += p->n;
	batch_see(b, at + 1, p->n);
	for (int i = 0; i < p->n; i++)
		if (p->which ? p->which[i] : i >= p->n - p->wanted)
			b->target_row[b->n_targets++] = row + i;
}

/* Rows come in the order that sequences_lay gives; so do the logits that are wanted. */
static void put_parts(struct session *s, struct session_part *parts, int n)
{
	struct batch *b = &s->net.pass.batch;

	b->n_rows = b->n_targets = b->n_segments = 0;
	b->visible = 0;
	memset(b->beyond, 0, sizeof(b->beyond));
	for (int i = 0; i < n; i++)
		s->part_of[parts[i].sequence] = NULL;
	for (int i = 0; i < n; i++) {
		if (s->part_of[parts[i].sequence])
			BUG("sequence %d is in a step twice", parts[i].sequence);
		s->part_of[parts[i].sequence] = &parts[i];
		s->order[i] = parts[i].sequence;
		sequence_reserve(&s->sequences, parts[i].sequence, parts[i].n);
	}
	sequences_lay(&s->sequences, b, s->order, n);
	for (int i = 0; i < n; i++)
		put_part(s, s->part_of[s->order[i]]);
	b->n_docs = b->n_trees = b->n_segments;
	b->tree[b->n_trees] = b->n_rows;
}

static int step(struct session *s, struct session_part *parts, int n, struct err *e)
{
	size_t at = 0, V = (size_t)s->model->config.V;

	for (int i = 0; i < n; i++) {
		parts[i].work = work_of(s, &parts[i]);
		live_add(&s->work, &parts[i].work, 1);
	}
	put_parts(s, parts, n);
	if (pass_step(&s->net.pass) < 0)
		return err_set(e, "interrupted while tokens were computed");
	const float *logits = model_pass_result(&s->net);
	for (int i = 0; i < n; i++) {
		struct session_part *p = s->part_of[s->order[i]];
		sequence_append(&s->sequences, p->sequence, p->ids, p->n);
		p->logits = p->wanted ? logits + at * V : NULL;
		at += (size_t)p->wanted;
	}
	return 0;
}

/* Virtual tokens, into the sequence that holds them alone. */
static int feed_lead(struct session *s, const struct session_lead *l, struct err *e)
{
	int most = s->net.pass.batch.cap.rows, status = 0, at = holder(s, l);
	int32_t *ids = mem_array((size_t)l->n, sizeof(*ids));

	for (int i = 0; i < l->n; i++)
		ids[i] = l->first + i;
	s->adapter[at] = l->adapter;
	s->invoked[at] = 0;
	for (int i = s->sequences.length[at]; i < l->n && status == 0; i = s->sequences.length[at])
		status = step(s, &(struct session_part){ .sequence = at, .ids = ids + i, .n = MIN(l->n - i, most) }, 1,
		              e);
	mem_free(ids);
	return status;
}

/* An empty sequence begins. */
static int begin(struct session *s, int sequence, struct err *e)
{
	const struct session_lead *l = session_lead(s, s->adapter[sequence]);

	if (!l->n || s->sequences.length[sequence])
		return 0;
	if (feed_lead(s, l, e) < 0)
		return -1;
	sequence_branch(&s->sequences, sequence, holder(s, l), l->n);
	return 0;
}

int session_step(struct session *s, struct session_part *parts, int n, struct err *e)
{
	if (check_parts(s, parts, n, e) < 0)
		return -1;
	for (int i = 0; i < n; i++)
		if (begin(s, parts[i].sequence, e) < 0)
			return -1;
	return step(s, parts, n, e);
}

int session_put(struct session *s, int sequence, const int32_t *ids, size_t n, const float **logits, struct err *e)
{
	size_t most = (size_t)s->net.pass.batch.cap.rows;
	struct session_part part = { 0 };

	for (size_t i = 0; i < n; i += most) {
		part = (struct session_part){
			.sequence = sequence, .ids = ids + i, .n = (int)MIN(n - i, most), .wanted = n - i <= most
		};
		if (session_step(s, &part, 1, e) < 0)
			return -1;
	}
	*logits = part.logits;
	return 0;
}

/* Tokens of a prompt, which may invoke an adapter in those that are there. */
static int feed_prompt(struct session *s, int sequence, const int32_t *ids, size_t n, const float **logits,
                       struct err *e)
{
	size_t had = (size_t)session_length(s, sequence);
	int32_t *all = mem_array(had + n, sizeof(*all));

	memcpy(all, session_ids(s, sequence), had * sizeof(*all));
	memcpy(all + had, ids, n * sizeof(*all));
	size_t kept = (size_t)session_keep(s, sequence, all, had + n);
	int status = session_put(s, sequence, all + kept, had + n - kept, logits, e);
	mem_free(all);
	return status;
}

int session_feed(struct session *s, int sequence, const int32_t *ids, size_t n, const float **logits, struct err *e)
{
	if (n == 0)
		BUG("no tokens");
	if (check_room(s, sequence, n, e) < 0)
		return -1;
	if (s->invocations && (n > 1 || session_length(s, sequence) == 0))
		return feed_prompt(s, sequence, ids, n, logits, e);
	return session_put(s, sequence, ids, n, logits, e);
}

/* --- sequences --- */

/* The adapter that token i goes through, −1: none. */
static int acting(int adapter, int invoked, int i) { return i >= invoked ? adapter : -1; }

/* Its first tokens that have the base's keys and values. */
static int base_tokens(const struct session *s, int sequence)
{
	int length = session_length(s, sequence);

	return !s->own_keys || s->adapter[sequence] < 0 ? length : MIN(length, s->invoked[sequence]);
}

/* Of a sequence that was left with so many tokens: a part of the virtual ones is nothing to go on from. */
static int settle(struct session *s, int sequence, int left)
{
	int lead = session_leading(s, sequence);

	if (left < lead)
		left = sequence_truncate(&s->sequences, sequence, 0);
	return MAX(left - lead, 0);
}

int session_branch(struct session *s, int sequence, int parent, int length)
{
	if (session_length(s, sequence) || sequence == parent)
		BUG("sequence %d has %d tokens, none were wanted", sequence, session_length(s, sequence));
	if (length < 0 || length > session_length(s, parent))
		BUG("a branch of %d tokens of %d", length, session_length(s, parent));
	s->adapter[sequence] = s->adapter[parent];
	s->invoked[sequence] = length > s->invoked[parent] ? s->invoked[parent] : uninvoked(s, s->adapter[parent]);
	if (length)
		length += session_leading(s, sequence);
	return settle(s, sequence, sequence_branch(&s->sequences, sequence, parent, length));
}

int session_truncate(struct session *s, int sequence, int length)
{
	if (length < 0 || length > session_length(s, sequence))
		BUG("truncating %d tokens to %d", session_length(s, sequence), length);
	if (length <= s->invoked[sequence])
		s->invoked[sequence] = uninvoked(s, s->adapter[sequence]);
	if (length)
		length += session_leading(s, sequence);
	return settle(s, sequence, sequence_truncate(&s->sequences, sequence, length));
}

void session_invoke(struct session *s, int sequence, const int32_t *ids, size_t n)
{
	check_sequence(s, sequence);
	s->invoked[sequence] = invoked_in(s, s->adapter[sequence], ids, n);
}

size_t session_common(const struct session *s, int sequence, const int32_t *has, size_t n_has, int adapter,
                      const int32_t *ids, size_t n)
{
	size_t same = 0, most = MIN(n_has, n ? n - 1 : 0);
	int invoked = invoked_in(s, adapter, ids, n);

	check_sequence(s, sequence);
	while (same < most && has[same] == ids[same] &&
	       (!s->own_keys || acting(adapter, invoked, (int)same) ==
	                                acting(s->adapter[sequence], s->invoked[sequence], (int)same)))
		same++;
	return same;
}

int session_keep(struct session *s, int sequence, const int32_t *ids, size_t n)
{
	size_t same = session_common(s, sequence, session_ids(s, sequence), (size_t)session_length(s, sequence),
	                             s->adapter[sequence], ids, n);
	int kept = session_truncate(s, sequence, (int)same);

	session_invoke(s, sequence, ids, n);
	return kept;
}

void session_drop(struct session *s, int sequence) { session_truncate(s, sequence, 0); }

void session_forget(struct session *s)
{
	for (int i = 0; i < s->n; i++)
		session_drop(s, i);
	for (int i = 0; i < s->n_leads; i++)
		sequence_truncate(&s->sequences, s->n + i, 0);
}

/* May what a sequence holds go on with that one? */
static bool continues(const struct session *s, int sequence, int adapter)
{
	int length = session_length(s, sequence);

	return !s->own_keys || !length || s->adapter[sequence] == adapter ||
	       (base_tokens(s, sequence) == length && uninvoked(s, adapter) == NEVER);
}

void session_use(struct session *s, int sequence, int adapter)
{
	if (!continues(s, sequence, adapter))
		BUG("sequence %d has tokens of adapter %d, it cannot go on with %d", sequence, s->adapter[sequence],
		    adapter);
	if (s->adapter[sequence] != adapter) {
		if (!session_length(s, sequence)) /* it may have a lead */
			sequence_truncate(&s->sequences, sequence, 0);
		s->invoked[sequence] = uninvoked(s, adapter);
	}
	s->adapter[sequence] = adapter;
}

int session_adapter(const struct session *s, int sequence)
{
	check_sequence(s, sequence);
	return s->adapter[sequence];
}

/* Are a sequence's keys and values the model's own, as long as nothing is invoked? */
static bool begins_as_base(const struct session *s)
{
	bool all = true;

	for (const struct overlay *o = s->overlay; o && s->own_keys; o = o->under)
		all &= o->invocation.n > 0;
	return all;
}

bool session_same_keys(const struct session *a, const struct session *b)
{
	const struct cache_types *x = &a->size.types, *y = &b->size.types;

	return a->model == b->model && x->k == y->k && x->v == y->v && begins_as_base(a) && begins_as_base(b) &&
	       !a->n_leads && !b->n_leads;
}

void session_copy(struct session *to, int sequence, const struct session *from, int from_sequence)
{
	check_sequence(to, sequence);
	if (!session_same_keys(to, from) || session_length(from, from_sequence) > to->sequences.n_ctx)
		BUG("keys of another adapter, or too many");
	sequence_copy(&to->sequences, sequence, &from->sequences, from_sequence);
	to->invoked[sequence] = uninvoked(to, to->adapter[sequence]);
	session_truncate(to, sequence, base_tokens(from, from_sequence));
}

/* --- what is there --- */

int session_length(const struct session *s, int sequence)
{
	check_sequence(s, sequence);
	return MAX(s->sequences.length[sequence] - session_leading(s, sequence), 0);
}

const int32_t *session_ids(const struct session *s, int sequence)
{
	check_sequence(s, sequence);
	return sequence_ids(&s->sequences, sequence) + session_leading(s, sequence);
}

int session_limit(const struct session *s) { return s->n_ctx; }

size_t session_vocabulary(const struct session *s) { return (size_t)s->model->config.V; }

const struct kernels *session_kernels(const struct session *s) { return s->device->kernels; }

int session_sequences(const struct session *s) { return s->n; }

int session_logits(const struct session *s) { return s->n_logits; }

int session_rows(const struct session *s) { return s->net.pass.batch.cap.rows; }

static int ranges_of(int tokens) { return (tokens + KV_RANGE - 1) / KV_RANGE; }

int session_ranges(const struct session *s) { return sequences_held(&s->sequences); }

int session_ranges_full(const struct session *s)
{
	int n = ranges_of(s->sequences.n_ctx);

	for (int i = 0; i < s->n_leads; i++)
		n += ranges_of(s->leads[i].n);
	return n;
}

int session_wants(const struct session *s, int sequence, int length)
{
	const struct session_lead *l = session_lead(s, s->adapter[sequence]);
	int wants = 0;

	check_sequence(s, sequence);
	if (s->sequences.length[sequence] || !l->n)
		return sequence_wants(&s->sequences, sequence, length + l->n);
	if (!s->sequences.length[holder(s, l)])
		wants = ranges_of(l->n);
	return wants + ranges_of(length + l->n) - l->n / KV_RANGE;
}

size_t session_range_bytes(const struct session *s)
{
	size_t sum = 0;

	for (int i = 0; i < s->sequences.n_memories; i++)
		if (s->memories[i].type == &memory_kv)
			sum += (size_t)s->sizes[i].n_layers * s->memories[i].type->range_bytes(&s->sizes[i]);
	return sum;
}

bool session_rewinds(const struct session *s)
{
	for (int i = 0; i < s->sequences.n_memories; i++)
		if (s->memories[i].type->states)
			return false;
	return true;
}

void session_bytes(const struct session *s, size_t *work, size_t *cache)
{
	*work = pass_bytes(&s->net.pass) + graph_bytes(&s->net.graph);
	*cache = 0;
	for (int i = 0; i < s->sequences.n_memories; i++)
		*cache += s->memories[i].bytes;
}

size_t session_fill_bytes(const struct session *s, int n, int shared, int length)
{
	int lead = longest_lead(s), once = (shared + lead) / KV_RANGE, all = length + lead,
	    each = (all + KV_RANGE - 1) / KV_RANGE - once, own = lead % KV_RANGE > 0;
	size_t sum = 0;

	for (int i = 0; i < s->n_leads; i++)
		own += ranges_of(s->leads[i].n);
	own -= ranges_of(lead);            /* whose whole ranges are among those that are shared */

	for (int i = 0; i < s->sequences.n_memories; i++)
		sum += memory_resident(&s->memories[i], own + once + n * each, all % KV_RANGE ? n : 0, all % KV_RANGE);
	return sum;
}

static void bind_all(void *ctx, struct run *r)
{
	const struct session *s = ctx;

	graph_bind(&s->net.graph, r, NULL);
	bind_cache(s, r);
}

/* As if n sequences had `length` tokens, the next `rows` of each. */
static void pretend(struct session *s, int n, int rows, int length)
{
	int32_t *ids = mem_array((size_t)rows, sizeof(*ids));
	struct session_part *parts = mem_array((size_t)n, sizeof(*parts));

	for (int k = 0; k < n; k++) {
		int all = length + session_leading(s, k);
		sequence_reserve(&s->sequences, k, all);
		s->sequences.length[k] = all;
		parts[k] = (struct session_part){ .sequence = k, .ids = ids, .n = rows, .wanted = true };
	}
	put_parts(s, parts, n);
	for (int k = 0; k < n; k++) {
		sequence_append(&s->sequences, k, ids, rows); /* whose places will be written */
		session_drop(s, k);
	}
	mem_free(ids);
	mem_free(parts);
}

int session_time(struct session *s, int n, int rows, int length, double *seconds, struct work *work, struct err *e)
{
	struct timing pass;
	int used = 0;

	for (int k = 0; k < s->n; k++)
		used += session_length(s, k);
	if (used || n < 1 || n > s->n || length < 0 || length + rows > s->n_ctx || n * rows > session_rows(s))
		BUG("%d sequences of %d tokens after %d, in a session of %d", n, rows, length, s->n_ctx);
	pretend(s, n, rows, length);
	struct live live = batch_live(&s->net.pass.batch);
	struct timing_options how = { .batch = &s->net.pass.batch,
		                      .mean = live,
		                      .bind = bind_all,
		                      .ctx = s,
		                      .whole = n * rows <= FEW_ROWS,
		                      .budget = TIME_SECONDS };
	if (model_pass_time(&pass, &s->net, how, e) < 0)
		return -1;
	*seconds = pass.seconds;
	*work = pass_work(&s->net.pass, &live);
	return 0;
}

struct live session_work(const struct session *s) { return s->work; }

void session_operations(const struct session *s, const struct live *work, double *flops, double *int_ops)
{
	struct work w = pass_work(&s->net.pass, work);

	*int_ops = w.int_ops;
	*flops = w.flops - w.int_ops;
}

void session_trace(struct session *s, struct trace *t)
{
	struct run *r = &s->net.pass.run;

	r->trace = NULL;
	if (t)
		trace_attach(t, r, "session");
}
