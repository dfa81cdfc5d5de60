/* session: see session.h. A forward-only tape whose attention reads a cache.
 *
 * The cache is cut into one region a sequence. A token at position p of sequence 0 has key p. A branch shares the whole
 * ranges of KV_RANGE keys that sequence 0 has, S keys, and has copies of the rest in its own region, which begins at a
 * multiple of it: position p has key region + p − S. So attention, which goes by ranges of keys, meets the same keys in
 * the same ranges and lanes as in a sequence alone, and a row's bits do not depend on the rows beside it: branches,
 * chunks and one by one give the same logits. The mask is the forest's: shared keys are seen by all rows after them,
 * others to the end of their region.
 *
 * Logits are computed for a part's last token alone, where they are wanted. The cache is mapped whole and becomes real
 * as it fills. */
#include "infer/session.h"

#include <string.h>

#include "base/mem.h"
#include "model/model_pass.h"
#include "op/kv_cache.h"
#include "op/trace.h"

enum { FEW_ROWS = 16 /* whose step is bound by reading the weights */ };
#define TIME_SECONDS 0.03              /* of repetitions when it is asked how long a step takes */

struct session {
	struct model *model;
	struct device device;
	int n_ctx, n_sequences;
	int region;                    /* keys of a sequence */
	int shared;                    /* S, while there are branches */
	int n_branches;
	bool own_keys;                 /* an overlay changes keys or values */
	int *length;                   /* [n_sequences] tokens */
	bool *branch;                  /* [n_sequences] */
	int *adapter;                  /* [n_sequences] of several, see session_use */
	int32_t *ids;                  /* [n_sequences][n_ctx] */
	struct model_pass net;
	struct kv_tensors *kv;
	struct cache_types types;
	char *cache;                   /* [layers][keys, then values][n_sequences·region] rows of G·D numbers */
	size_t cache_bytes;
	struct live work;              /* of all steps */
};

static size_t key_count(const struct session *s) { return (size_t)s->n_sequences * (size_t)s->region; }

static size_t head_count(const struct session *s) { return (size_t)s->model->config.G; }

static size_t key_width(const struct session *s, enum dtype t)
{
	return kv_width(t, head_count(s), (size_t)s->model->config.D);
}

static size_t matrix_count(const struct session *s) { return 2 * (size_t)s->model->config.n_layers; }

/* Of the cache's matrices, which are keys and values in turns, the one with this number. */
struct matrix_place { char *rows; size_t row_bytes; };

static struct matrix_place matrix_place(const struct session *s, size_t i)
{
	const struct kv_tensors *kv = &s->kv[i / 2];
	const struct tape *t = &s->net.pass.tape;
	size_t k = tensor_row_bytes(tape_tensor(t, kv->k)), v = tensor_row_bytes(tape_tensor(t, kv->v));

	return (struct matrix_place){ s->cache + key_count(s) * (i / 2 * (k + v) + i % 2 * k), i % 2 ? v : k };
}

static void make_cache_tensors(struct session *s)
{
	const struct config *c = &s->model->config;
	struct tape *t = &s->net.pass.tape;
	size_t keys = key_count(s);

	s->kv = mem_array((size_t)c->n_layers, sizeof(*s->kv));
	for (int i = 0; i < c->n_layers; i++)
		s->kv[i] = (struct kv_tensors){
			tape_cache(t, "k_cache", s->types.k, keys, key_width(s, s->types.k)),
			tape_cache(t, "v_cache", s->types.v, keys, key_width(s, s->types.v))
		};
}

static void record(struct session *s, const struct overlay *o)
{
	/* no more are ever there, or touched */
	int32_t n = s->n_sequences, rows = (int32_t)MIN((size_t)SESSION_ROWS, (size_t)n * (size_t)s->n_ctx);
	struct batch_cap cap = { .rows = rows, .targets = n, .segments = n, .docs = n, .keys = (int32_t)key_count(s) };
	struct model_pass *p = &s->net;

	model_pass_begin(p, &s->device, &cap, s->model, o, false);
	make_cache_tensors(s);
	p->graph.kv = s->kv;
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
	for (int i = 0; i < s->model->config.n_layers; i++)
		own |= depends[s->kv[i].k] || depends[s->kv[i].v];
	mem_free(depends);
	return own;
}

/* Keys begin..end-1 are seen by rows whose keys are below `until`. */
static void set_sight(struct session *s, int begin, int end, int until)
{
	for (int j = begin; j < end; j++)
		s->net.pass.batch.vis_end[j] = until;
}

static void bind_cache(const struct session *s, struct run *r)
{
	for (size_t i = 0; i < matrix_count(s); i++)
		run_bind(r, i % 2 ? s->kv[i / 2].v : s->kv[i / 2].k, matrix_place(s, i).rows);
}

static int build(struct session *s, const struct overlay *o, struct err *e)
{
	struct device *d = &s->device;
	void *cache;

	record(s, o);
	if (pass_plan(&s->net.pass, NULL, e) < 0 || model_pass_start(&s->net, NULL, e) < 0)
		return -1;
	s->cache_bytes =
		key_count(s) * matrix_count(s) / 2 * (matrix_place(s, 0).row_bytes + matrix_place(s, 1).row_bytes);
	if (d->type->alloc(d, &cache, s->cache_bytes, "keys and values", e) < 0)
		return -1;
	s->cache = cache;
	s->own_keys = has_own_keys(s);
	bind_cache(s, &s->net.pass.run);
	for (int n = 0; n < s->n_sequences; n++)
		set_sight(s, n * s->region, (n + 1) * s->region, (n + 1) * s->region);
	return 0;
}

int session_new(struct session **out, struct model *m, const struct overlay *o, struct pool *pool,
                const struct kernels *k, const struct session_size *size, struct err *e)
{
	int n_ctx = size->n_ctx, n_sequences = size->n_sequences ? size->n_sequences : 1;

	if (n_ctx < 1 || n_ctx > m->config.n_ctx)
		return err_set(e, "a context of %d tokens: the model has %d positions", n_ctx, m->config.n_ctx);
	int region = ROUND_UP(n_ctx, KV_RANGE);
	if (n_sequences < 1 || n_sequences > SESSION_ROWS || n_sequences > INT32_MAX / region)
		return err_set(e, "%d sequences of %d tokens are more than a session can hold", n_sequences, n_ctx);
	struct session *s = mem_alloc(sizeof(*s));
	*s = (struct session){
		.model = m, .n_ctx = n_ctx, .n_sequences = n_sequences, .region = region, .types = size->cache
	};
	s->length = mem_array((size_t)n_sequences, sizeof(*s->length));
	s->branch = mem_array((size_t)n_sequences, sizeof(*s->branch));
	s->adapter = mem_array((size_t)n_sequences, sizeof(*s->adapter));
	s->device = device_cpu(k, pool);
	s->ids = mem_array((size_t)n_sequences * (size_t)n_ctx, sizeof(*s->ids));
	if (build(s, o, e) < 0) {
		session_free(s);
		return -1;
	}
	*out = s;
	return 0;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	if (s->cache)
		s->device.type->free(&s->device, s->cache, s->cache_bytes);
	model_pass_release(&s->net);
	mem_free(s->kv);
	mem_free(s->length);
	mem_free(s->branch);
	mem_free(s->adapter);
	mem_free(s->ids);
	mem_free(s);
}

/* --- steps --- */

static int key_of(const struct session *s, int sequence, int position)
{
	return sequence * s->region + position - (s->branch[sequence] ? s->shared : 0);
}

static int32_t *ids_of(const struct session *s, int sequence) { return s->ids + (size_t)sequence * (size_t)s->n_ctx; }

static int check_parts(const struct session *s, const struct session_part *parts, int n, struct err *e)
{
	int rows = 0;

	for (int i = 0; i < n; i++) {
		const struct session_part *p = &parts[i];
		if (p->sequence < 0 || p->sequence >= s->n_sequences || (i && p->sequence <= parts[i - 1].sequence) ||
		    p->n < 1)
			BUG("part %d: %d tokens for sequence %d of %d", i, p->n, p->sequence, s->n_sequences);
		if (p->sequence == 0 && s->n_branches)
			BUG("sequence 0 is fed while it has %d branches", s->n_branches);
		if (p->n > s->n_ctx - s->length[p->sequence])
			return err_set(e,
			               "the context is full: %d tokens are in it and %d are to be added, it holds %d",
			               s->length[p->sequence], p->n, s->n_ctx);
		rows += p->n;
	}
	if (rows < 1 || rows > s->net.pass.batch.cap.rows)
		BUG("a step of %d tokens, at most %d", rows, s->net.pass.batch.cap.rows);
	return 0;
}

/* Row i of the part sees what is there and i + 1 rows of its own. */
static struct live work_of(const struct session *s, const struct session_part *p)
{
	return (struct live){ .rows = p->n,
		              .targets = p->wanted,
		              .visible = (double)p->n * (s->length[p->sequence] + 0.5 * (p->n + 1)) };
}

/* A part's rows, which are a tree of their own. */
static void put_part(struct session *s, const struct session_part *p)
{
	struct batch *b = &s->net.pass.batch;
	int32_t row = b->n_rows, at = s->length[p->sequence];

	for (int32_t i = 0; i < p->n; i++) {
		b->ids[row + i] = p->ids[i];
		b->pos[row + i] = at + i;
		b->key[row + i] = key_of(s, p->sequence, at + i);
	}
	b->segments[b->n_segments] = (struct segment){ .start = row,
		                                       .len = p->n,
		                                       .parent = -1,
		                                       .pos0 = at,
		                                       .end = row + p->n,
		                                       .adapter = s->adapter[p->sequence] };
	b->tree[b->n_segments++] = row;
	b->n_rows += p->n;
	b->n_keys = b->key[b->n_rows - 1] + 1;
	b->visible += work_of(s, p).visible;
	if (p->wanted)
		b->target_row[b->n_targets++] = b->n_rows - 1;
	memcpy(ids_of(s, p->sequence) + at, p->ids, (size_t)p->n * sizeof(*p->ids));
	s->length[p->sequence] += p->n;
}

static void clear_batch(struct batch *b)
{
	b->n_rows = b->n_targets = b->n_segments = 0;
	b->visible = 0;
}

static void end_batch(struct batch *b)
{
	b->n_docs = b->n_trees = b->n_segments;
	b->tree[b->n_trees] = b->n_rows;
}

int session_step(struct session *s, struct session_part *parts, int n, struct err *e)
{
	struct batch *b = &s->net.pass.batch;
	size_t at = 0, V = (size_t)s->model->config.V;

	if (check_parts(s, parts, n, e) < 0)
		return -1;
	clear_batch(b);
	for (int i = 0; i < n; i++) {
		parts[i].work = work_of(s, &parts[i]);
		live_add(&s->work, &parts[i].work, 1);
		put_part(s, &parts[i]);
	}
	end_batch(b);
	pass_step(&s->net.pass);
	const float *logits = model_pass_result(&s->net);
	for (int i = 0; i < n; i++)
		parts[i].logits = parts[i].wanted ? logits + at++ * V : NULL;
	return 0;
}

int session_feed(struct session *s, const int32_t *ids, size_t n, const float **logits, struct err *e)
{
	size_t most = (size_t)s->net.pass.batch.cap.rows;
	struct session_part part = { 0 };

	if (n == 0)
		BUG("no tokens");
	if (n > (size_t)(s->n_ctx - s->length[0]))
		return err_set(e, "the context is full: %d tokens are in it and %zu are to be added, it holds %d",
		               s->length[0], n, s->n_ctx);
	for (size_t i = 0; i < n; i += most) {
		part = (struct session_part){ .ids = ids + i, .n = (int)MIN(n - i, most), .wanted = n - i <= most };
		if (session_step(s, &part, 1, e) < 0)
			return -1;
	}
	*logits = part.logits;
	return 0;
}

/* --- branches --- */

/* Calls that want a sequence other than 0. */
static void check_branch(const struct session *s, int sequence, bool is_branch)
{
	if (sequence < 1 || sequence >= s->n_sequences || s->branch[sequence] != is_branch)
		BUG("sequence %d of %d is %s branch", sequence, s->n_sequences, is_branch ? "no" : "0 or already a");
}

/* Keys and values of n keys that begin a range, to another place of the cache, or zeros. */
static void move_keys(struct session *s, int from, int to, int n)
{
	struct device *d = &s->device;

	for (size_t i = 0; i < matrix_count(s); i++) {
		struct matrix_place m = matrix_place(s, i);
		char *keys = m.rows + (size_t)to * m.row_bytes;
		struct kv_piece p;
		for (size_t j = 0; p = kv_piece((size_t)n, j, head_count(s), m.row_bytes), p.bytes; j++) {
			if (from < 0)
				d->type->clear(d, keys + p.at, p.bytes);
			else
				d->type->copy(d, keys + p.at, m.rows + (size_t)from * m.row_bytes + p.at, p.bytes);
		}
	}
}

void session_branch(struct session *s, int sequence)
{
	int length = s->length[0];

	check_branch(s, sequence, false);
	if (s->length[sequence])
		BUG("sequence %d has %d tokens, none were wanted", sequence, s->length[sequence]);
	if (s->n_branches++ == 0) {
		s->shared = length / KV_RANGE * KV_RANGE;
		set_sight(s, 0, s->shared, s->n_sequences * s->region);
	}
	s->branch[sequence] = true;
	s->length[sequence] = length;
	s->adapter[sequence] = s->adapter[0];
	memcpy(ids_of(s, sequence), ids_of(s, 0), (size_t)length * sizeof(*s->ids));
	move_keys(s, s->shared, key_of(s, sequence, s->shared), length - s->shared);
}

/* A tile of keys is read whole, so those of the next sequence here begin as zeros: nothing of this one is left, not
 * even what is no number. */
void session_drop(struct session *s, int sequence)
{
	check_branch(s, sequence, true);
	move_keys(s, -1, key_of(s, sequence, s->shared), s->length[sequence] - s->shared);
	s->branch[sequence] = false;
	s->length[sequence] = 0;
	if (--s->n_branches == 0) {
		set_sight(s, 0, s->shared, s->region);
		s->shared = 0;
	}
}

void session_use(struct session *s, int sequence, int adapter)
{
	if (session_length_of(s, sequence) && s->own_keys && s->adapter[sequence] != adapter)
		BUG("sequence %d has tokens of adapter %d, it cannot go on with %d", sequence, s->adapter[sequence],
		    adapter);
	s->adapter[sequence] = adapter;
}

/* --- what is there --- */

int session_length(const struct session *s) { return s->length[0]; }

int session_length_of(const struct session *s, int sequence)
{
	if (sequence < 0 || sequence >= s->n_sequences)
		BUG("sequence %d of %d", sequence, s->n_sequences);
	return s->length[sequence];
}

const int32_t *session_ids(const struct session *s, int sequence)
{
	return session_length_of(s, sequence) ? ids_of(s, sequence) : s->ids;
}

int session_limit(const struct session *s) { return s->n_ctx; }

int session_rows(const struct session *s) { return s->net.pass.batch.cap.rows; }

void session_bytes(const struct session *s, size_t *work, size_t *cache)
{
	size_t rope = s->net.graph.rope ? (size_t)s->n_ctx * (size_t)s->model->config.D * sizeof(float) : 0;

	*work = pass_bytes(&s->net.pass) + rope;
	*cache = s->cache_bytes;
}

/* Bytes that become resident of [from, to) of the cache, what ends at `end` being there. */
static size_t resident(const struct session *s, size_t from, size_t to, size_t *end)
{
	size_t granule = mem_map_granule(s->cache_bytes);

	from = MAX(from / granule * granule, *end);
	to = MIN(ROUND_UP(to, granule), ROUND_UP(s->cache_bytes, (size_t)4096));
	*end = MAX(*end, to);
	return to > from ? to - from : 0;
}

size_t session_fill_bytes(const struct session *s, int first, int n, int length)
{
	size_t sum = 0, end = 0;

	for (size_t i = 0; i < matrix_count(s); i++)
		for (int k = first; k < first + n; k++) {
			struct matrix_place m = matrix_place(s, i);
			size_t at = (size_t)(m.rows - s->cache) + (size_t)key_of(s, k, 0) * m.row_bytes;
			struct kv_piece p;
			for (size_t j = 0;
			     p = kv_piece((size_t)MIN(length, s->region), j, head_count(s), m.row_bytes), p.bytes; j++)
				sum += resident(s, at + p.at, at + p.at + p.bytes, &end);
		}
	return sum;
}

static void pretend(struct session *s, int first, int n, int rows, int length)
{
	int32_t *ids = mem_array((size_t)rows, sizeof(*ids));

	clear_batch(&s->net.pass.batch);
	for (int k = first; k < first + n; k++) {
		s->length[k] = length;
		put_part(s, &(struct session_part){ .sequence = k, .ids = ids, .n = rows, .wanted = true });
		s->length[k] = 0;
	}
	end_batch(&s->net.pass.batch);
	mem_free(ids);
}

int session_time(struct session *s, int first, int n, int rows, int length, double *seconds, double *flops,
                 struct err *e)
{
	struct timing pass;

	if (n * rows > session_rows(s) || length + rows > s->n_ctx || s->n_branches)
		BUG("%d sequences of %d tokens after %d, in a session of %d", n, rows, length, s->n_ctx);
	pretend(s, first, n, rows, length);
	struct live live = batch_live(&s->net.pass.batch);
	struct timing_options how = { .batch = &s->net.pass.batch,
		                      .mean = live,
		                      .whole = n * rows <= FEW_ROWS,
		                      .budget = TIME_SECONDS };
	if (model_pass_time(&pass, &s->net, how, e) < 0)
		return -1;
	*seconds = pass.seconds;
	*flops = pass_work(&s->net.pass, &live).flops;
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

void session_truncate(struct session *s, int length)
{
	if (length < 0 || length > s->length[0] || s->n_branches)
		BUG("truncating %d tokens to %d, with %d branches", s->length[0], length, s->n_branches);
	s->length[0] = length;
}

int session_keep(struct session *s, const int32_t *ids, size_t n)
{
	int same = 0, most = (int)MIN((size_t)s->length[0], n ? n - 1 : 0);

	while (same < most && s->ids[same] == ids[same])
		same++;
	session_truncate(s, same);
	return same;
}

bool session_same_keys(const struct session *a, const struct session *b)
{
	return a->model == b->model && a->n_ctx == b->n_ctx && a->n_sequences == 1 && b->n_sequences == 1 &&
	       a->types.k == b->types.k && a->types.v == b->types.v && !a->own_keys && !b->own_keys;
}

void session_copy(struct session *to, const struct session *from)
{
	int same = 0, n = from->length[0];
	struct device *d = &to->device;

	if (!session_same_keys(to, from))
		BUG("keys of another adapter, or of another size");
	while (same < MIN(n, to->length[0]) && to->ids[same] == from->ids[same])
		same++;
	size_t begin = (size_t)same / KV_RANGE * KV_RANGE;
	for (size_t i = 0; i < matrix_count(to); i++) {
		struct matrix_place m = matrix_place(to, i), o = matrix_place(from, i);
		struct kv_piece p;
		for (size_t j = 0; p = kv_piece((size_t)n - begin, j, head_count(to), m.row_bytes), p.bytes; j++)
			d->type->copy(d, m.rows + begin * m.row_bytes + p.at, o.rows + begin * m.row_bytes + p.at,
			              p.bytes);
	}
	memcpy(to->ids + same, from->ids + same, (size_t)(n - same) * sizeof(*to->ids));
	to->length[0] = n;
}
