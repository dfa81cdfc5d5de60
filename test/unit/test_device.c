/* Nothing but a device touches its memory: tapes run on a device that the test makes, whose memory the host may neither
 * read nor write while no node or copy is under way, and give the processor's bits. */
#include "../test.h"
#include <string.h>
#include <sys/mman.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "infer/session.h"
#include "op/batch_sample.h"
#include "op/device.h"
#include "op/ops.h"
#include "op/pass.h"
#include "op/table.h"
#include "train/trainer.h"

enum { REGIONS = 4096 };

/* The processor behind a door: its arithmetic, and pages that are closed but while it works on them. */
struct walled {
	struct device device;
	struct { void *p; size_t bytes; } region[REGIONS];
	int n_regions;
	int allocs, frees, pushes, pulls, copies, forwards;
};

static struct walled *wall(struct device *d) { return (struct walled *)d; }

static void door(struct walled *w, int protection)
{
	for (int i = 0; i < w->n_regions; i++)
		if (mprotect(w->region[i].p, w->region[i].bytes, protection) < 0)
			BUG("mprotect of %zu bytes", w->region[i].bytes);
}

static int wall_alloc(struct device *d, void **out, size_t bytes, const char *what, struct err *e)
{
	struct walled *w = wall(d);

	bytes = ROUND_UP(MAX(bytes, (size_t)1), (size_t)4096);
	*out = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (*out == MAP_FAILED || w->n_regions == REGIONS)
		return err_set(e, "no %zu bytes for %s", bytes, what);
	w->region[w->n_regions].p = *out;
	w->region[w->n_regions++].bytes = bytes;
	w->allocs++;
	return 0;
}

static void wall_touch(struct device *d, void *p, size_t bytes) { (void)d, (void)p, (void)bytes; }

static void wall_free(struct device *d, void *p, size_t bytes)
{
	struct walled *w = wall(d);
	int i = 0;

	while (i < w->n_regions && w->region[i].p != p)
		i++;
	if (i == w->n_regions || w->region[i].bytes != ROUND_UP(MAX(bytes, (size_t)1), (size_t)4096))
		BUG("freed what was never given");
	munmap(p, w->region[i].bytes);
	w->region[i] = w->region[--w->n_regions];
	w->frees++;
}

static void move(struct device *d, void *to, const void *from, size_t bytes, int *count)
{
	door(wall(d), PROT_READ | PROT_WRITE);
	memcpy(to, from, bytes);
	door(wall(d), PROT_NONE);
	(*count)++;
}

static void wall_push(struct device *d, void *to, const void *from, size_t bytes)
{
	move(d, to, from, bytes, &wall(d)->pushes);
}

static void wall_pull(struct device *d, void *to, const void *from, size_t bytes)
{
	move(d, to, from, bytes, &wall(d)->pulls);
}

static void wall_copy(struct device *d, void *to, const void *from, size_t bytes)
{
	move(d, to, from, bytes, &wall(d)->copies);
}

static void wall_clear(struct device *d, void *p, size_t bytes)
{
	door(wall(d), PROT_READ | PROT_WRITE);
	memset(p, 0, bytes);
	door(wall(d), PROT_NONE);
}

/* A tensor's address is the device's, not the host's. */
static void check_inside(const struct walled *w, const struct run *r, uint32_t x)
{
	const struct tensor *of = run_tensor(r, x);
	const char *at = r->data[x];

	for (size_t i = 0; x && of->parts && i < of->dim[0]; i++)
		check_inside(w, r, of->parts[i]);
	if (of->parts)
		return;
	for (int i = 0; x && i < w->n_regions; i++)
		if (at >= (char *)w->region[i].p && at < (char *)w->region[i].p + w->region[i].bytes)
			return;
	if (x)
		BUG("%s lies outside the device", run_tensor(r, x)->name);
}

static void wall_forward(struct device *d, struct run *r, const struct node *n)
{
	for (int i = 0; i < NODE_INPUTS; i++)
		check_inside(wall(d), r, n->in[i]);
	for (int i = 0; i < NODE_OUTPUTS; i++)
		check_inside(wall(d), r, n->out[i]);
	door(wall(d), PROT_READ | PROT_WRITE);
	n->op->forward(r, n);
	door(wall(d), PROT_NONE);
	wall(d)->forwards++;
}

static void wall_sync(struct device *d) { (void)d; }

static const struct device_type walled_type = {
	.name = "walled",
	.alloc = wall_alloc,
	.touch = wall_touch,
	.free = wall_free,
	.push = wall_push,
	.pull = wall_pull,
	.copy = wall_copy,
	.clear = wall_clear,
	.forward = wall_forward,
	.sync = wall_sync,
};

/* --- every op --- */

/* One sample on one device; `bound` are the host's numbers behind what is bound. */
struct sample {
	struct pass pass;
	struct arena mem;
	float **bound;               /* [n_tensors] */
	uint32_t out;
};

static bool sample_begin(struct test *t, struct sample *s, struct device *d, const struct op *op, bool gradients)
{
	struct rng_stream rng = { 31 };
	struct err e = ERR_INIT;
	struct tape *tape = &s->pass.tape;
	struct batch batch;

	*s = (struct sample){ 0 };
	pass_begin(&s->pass, d, &batch_sample_cap, gradients);
	batch_init(&batch, &batch_sample_cap);
	s->out = op->sample(tape, &batch, &rng, 0);
	batch_release(&batch);
	tape_keep(tape, s->out);
	if (gradients && !op->starts_gradient) {
		struct tensor like = *tape_tensor(tape, s->out);
		tape_seed(tape, s->out, tape_state(tape, "seed", like.axis, like.n_dims, like.dim));
	}
	bool fine = (!gradients || tape_backward(tape, &e) == 0) && pass_plan(&s->pass, NULL, &e) == 0 &&
	            pass_start(&s->pass, &e) == 0;
	CHECK_MSG(t, fine, "%s: %s", op->name, e.msg);
	return fine;
}

/* The same numbers behind what is bound, and the same batch, whatever the device. */
static void sample_run(struct test *t, struct sample *s, const struct op *op)
{
	struct tape *tape = &s->pass.tape;
	struct err e = ERR_INIT;
	struct rng_stream rng = { 31 };
	struct tape again;

	s->bound = arena_array(&s->mem, tape->n_tensors, sizeof(*s->bound));
	for (uint32_t i = 1; i < tape->n_tensors; i++) {
		struct rng_stream numbers = { 77 + i };
		if (s->pass.plan.offset[i] != SIZE_MAX || tape->tensors[i].role == ROLE_ACT ||
		    tape->tensors[i].role == ROLE_SCRATCH || tape->tensors[i].role == ROLE_STACK)
			continue;
		s->bound[i] = arena_array(&s->mem, tensor_count(&tape->tensors[i]) + 1, sizeof(float));
		for (size_t j = 0; j < tensor_count(&tape->tensors[i]); j++)
			s->bound[i][j] = rng_next_float(&numbers);
		run_bind_host(&s->pass.run, i, s->bound[i]);
	}
	tape_init(&again, &batch_sample_cap, false);
	op->sample(&again, &s->pass.batch, &rng, 0);
	tape_release(&again);
	CHECK_MSG(t, run_ready(&s->pass.run, &e) == 0, "%s", e.msg);
	pass_step(&s->pass);
}

static void sample_end(struct sample *s)
{
	pass_release(&s->pass);
	arena_release(&s->mem);
}

static bool same_numbers(const struct sample *a, const struct sample *b)
{
	bool same = true;

	for (uint32_t i = 1; i < a->pass.tape.n_tensors; i++)
		if (a->bound[i])
			same &= !memcmp(a->bound[i], b->bound[i],
			                tensor_count(&a->pass.tape.tensors[i]) * sizeof(float));
	return same;
}

static bool same_result(const struct sample *a, const struct sample *b)
{
	const struct tensor *x = tape_tensor(&a->pass.tape, a->out);
	size_t n = tensor_live_rows(x, &a->pass.batch) * (tensor_count(x) / x->dim[0]);

	return x->role != ROLE_ACT ||
	       !memcmp(run_read(&a->pass.run, a->out), run_read(&b->pass.run, b->out), n * sizeof(float));
}

static void test_op(struct test *t, const struct op *op, struct device *cpu, struct walled *w, bool gradients)
{
	struct sample a, b;

	if (!sample_begin(t, &a, cpu, op, gradients))
		return;
	if (sample_begin(t, &b, &w->device, op, gradients)) {
		sample_run(t, &a, op);
		sample_run(t, &b, op);
		CHECK_MSG(t, same_numbers(&a, &b), "%s: other numbers on the other device", op->name);
		CHECK_MSG(t, same_result(&a, &b), "%s: another result on the other device", op->name);
		CHECK(t, w->forwards >= (int)b.pass.plan.n_nodes);
		sample_end(&b);
	}
	sample_end(&a);
}

static void test_every_op(struct test *t, struct device *cpu)
{
	struct walled w = { .device = *cpu };

	test_case(t, "every op, forward and backward, on a device whose memory the host cannot touch: the same bits");
	w.device.type = &walled_type;
	for (size_t i = 0; op_table[i]; i++)
		if (op_table[i]->sample) {
			test_op(t, op_table[i], cpu, &w, false);
			test_op(t, op_table[i], cpu, &w, true);
		}
	CHECK(t, w.allocs > 0 && w.allocs == w.frees && w.n_regions == 0);
	CHECK(t, w.pushes > 0 && w.pulls > 0);
}

static void test_nothing_moves(struct test *t, struct device *cpu)
{
	struct sample s;

	test_case(t, "on the processor what is bound is used where it stands");
	for (size_t i = 0; op_table[i]; i++)
		if (op_table[i]->sample && sample_begin(t, &s, cpu, op_table[i], true)) {
			sample_run(t, &s, op_table[i]);
			for (uint32_t x = 1; x < s.pass.tape.n_tensors; x++)
				CHECK(t, !s.bound[x] || s.pass.run.data[x] == s.bound[x]);
			sample_end(&s);
		}
}

/* --- sessions --- */

enum { PROMPT = 20, LENGTH = 40, V_MOST = 1024 };

/* What is done with a session, and all logits of it, one after the other. */
static size_t converse(struct test *t, struct model *m, struct device *d, float *out)
{
	struct session_size size = { .n_ctx = 2 * LENGTH, .n_sequences = 3, .cache = { DTYPE_F16, DTYPE_Q8_0 } };
	struct session *s = NULL, *other = NULL;
	struct err e = ERR_INIT;
	const float *logits;
	int32_t ids[LENGTH];
	size_t V = (size_t)m->config.V, n = 0;
	double seconds;
	struct work work;

	size.cache.v = m->config.D % 16 ? DTYPE_F32 : DTYPE_Q8_0;
	for (int i = 0; i < LENGTH; i++)
		ids[i] = (i * 7919 + 13) % m->config.V;
	CHECK_MSG(t, session_new(&s, m, NULL, d, &size, &e) == 0, "%s", e.msg);
	CHECK_MSG(t, session_time(s, 2, 1, PROMPT, &seconds, &work, &e) == 0, "%s", e.msg);
	CHECK(t, session_feed(s, 0, ids, PROMPT, &logits, &e) == 0);
	memcpy(out + V * n++, logits, V * sizeof(*out));
	CHECK(t, session_branch(s, 1, 0, PROMPT - 3) == PROMPT - 3);
	for (int i = 0; i < 3; i++) {
		struct session_part parts[2] = { { .sequence = 0, .ids = ids + PROMPT + i, .n = 1, .wanted = true },
			                         { .sequence = 1, .ids = ids + i, .n = 1, .wanted = true } };
		CHECK(t, session_step(s, parts, 2, &e) == 0);
		for (int k = 0; k < 2; k++)
			memcpy(out + V * n++, parts[k].logits, V * sizeof(*out));
	}
	session_truncate(s, 0, 5);
	session_drop(s, 1);
	CHECK(t, session_new(&other, m, NULL, d, &size, &e) == 0);
	session_copy(other, 2, s, 0);
	CHECK(t, session_feed(other, 2, ids, 2, &logits, &e) == 0);
	memcpy(out + V * n++, logits, V * sizeof(*out));
	session_free(other);
	session_free(s);
	return n * V;
}

static void test_session(struct test *t, struct device *cpu, const char *name)
{
	struct walled w = { .device = *cpu };
	char *path = io_join(test_golden(), name);
	struct err e = ERR_INIT;
	struct model m;
	static float want[8 * V_MOST], got[8 * V_MOST];

	test_case(t, "%s: a session, branched, cut, copied and timed, on a device of its own memory", name);
	w.device.type = &walled_type;
	CHECK_MSG(t, model_open(&m, path, &e) == 0, "%s", e.msg);
	size_t n = converse(t, &m, cpu, want);
	CHECK(t, m.config.V <= V_MOST && converse(t, &m, &w.device, got) == n);
	CHECK(t, !memcmp(want, got, n * sizeof(*want)));
	CHECK(t, w.copies > 0 && w.allocs == w.frees);
	model_close(&m);
	mem_free(path);
}

/* --- training --- */

/* The weights after two steps, and the evaluation. */
static void train(struct test *t, struct device *d, const char *method, char hex[33], double *eval)
{
	static const char *const words[] = { "max-steps",          "2",  "batch-size",    "4",  "max-length", "64",
		                             "micro-batch-tokens", "96", "learning-rate", "0.01" };
	struct recipe r;
	struct opt_parse p;
	struct err e = ERR_INIT;
	struct trainer *trainer = NULL;
	char *model = io_join(test_golden(), "llama"), *data = io_join(test_golden(), "rows.jsonl"),
	     *out = io_join(test_tmp(), "device");
	struct step_metrics m;
	struct eval_metrics metrics = { 0 };
	bool stopped;

	opt_begin(&p, recipe_opts, &r, &e);
	opt_assign(&p, "model", model, &e);
	opt_assign(&p, "data", data, &e);
	opt_assign(&p, "eval-data", data, &e);
	opt_assign(&p, "out", out, &e);
	opt_assign(&p, "method", method, &e);
	for (size_t i = 0; i < ARRAY_LEN(words); i += 2)
		opt_assign(&p, words[i], words[i + 1], &e);
	bool fine = recipe_resolve(&r, &e) == 0 && trainer_open(&trainer, &r, d, &e) == 0 &&
	            trainer_start(trainer, &e) == 0 && trainer_step(trainer, &m, &e) == 0 &&
	            trainer_step(trainer, &m, &e) == 0 && trainer_eval(trainer, &metrics, NULL, &stopped, &e) == 0;
	CHECK_MSG(t, fine, "%s", e.msg);
	*eval = metrics.eval_loss;
	hex[0] = 0;
	if (fine) {
		const struct params *params = trainer_params(trainer);
		struct hash_stream *h = hash_begin();
		hash_add(h, params->w, params->n * sizeof(float));
		hash_end(h, hex);
	}
	trainer_close(trainer);
	opt_release(&p);
	mem_free(model);
	mem_free(data);
	mem_free(out);
}

static void test_trainer_on(struct test *t, struct device *cpu, const char *method)
{
	struct walled w = { .device = *cpu };
	char want[33], got[33];
	double eval, other;

	test_case(t, "training with %s and evaluating on a device of its own memory: the same weights", method);
	w.device.type = &walled_type;
	train(t, cpu, method, want, &eval);
	train(t, &w.device, method, got, &other);
	CHECK(t, !strcmp(want, got) && eval == other && eval > 0);
	CHECK(t, w.pushes > 0 && w.pulls > 0 && w.forwards > 0 && w.allocs == w.frees);
}

void test_device(struct test *t)
{
	struct err e = ERR_INIT;
	struct pool *pool = pool_new(2);
	struct device cpu = device_cpu(kernels_get(NULL, &e), pool);

	test_every_op(t, &cpu);
	test_nothing_moves(t, &cpu);
	test_session(t, &cpu, "llama");
	test_session(t, &cpu, "gpt2");
	log_set(LOG_QUIET);
	test_trainer_on(t, &cpu, "lora");
	test_trainer_on(t, &cpu, "full");
	log_set(LOG_NORMAL);
	pool_free(pool);
}
