/* A wish to stop is heard everywhere: every long work is done once while its looks are counted, then with a yes at the
 * first look, the second, in the middle and at the last one: it fails by saying that it was interrupted, and whoever
 * did it can do it again with the same bits. */
#include "../test.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "data/document.h"
#include "fixture_training.h"
#include "infer/scorer.h"
#include "infer/session.h"
#include "model/prepare.h"

static atomic_long looks, yes_from;

static bool counted(void) { return atomic_fetch_add(&looks, 1) >= atomic_load(&yes_from); }

static void hold(long from)
{
	atomic_store(&looks, 0);
	atomic_store(&yes_from, from);
	stop_hold(counted);
}

enum { IDS = 100 };

struct bench {
	struct test *t;
	struct pool *pool;
	struct device device;
	struct model model;
	struct job many, few;     /* many steps, six */
	struct training training;
	struct scorer *scorer;
	struct session *session;
	struct document document;
	uint8_t learn[IDS];
	int32_t ids[IDS];
	char *rows, *gz;
	char hash[33];            /* of what the work made */
};

static void keep(struct bench *b, const void *data, size_t n) { hash_hex(data, n, b->hash); }

/* --- what may take long --- */

static int plan_steps(struct bench *b, struct err *e)
{
	struct trainer *trainer = NULL;
	int status = trainer_open(&trainer, &b->many.recipe, &b->device, e);

	if (status == 0)
		keep(b, &trainer_plan(trainer)->computed_tokens, sizeof(int64_t));
	trainer_close(trainer);
	return status;
}

static int train_step(struct bench *b, struct err *e)
{
	struct step_metrics m;
	long before = trainer_steps_done(b->training.trainer);
	int status = trainer_step(b->training.trainer, &m, e);

	CHECK(b->t, trainer_steps_done(b->training.trainer) == before + (status == 0));
	b->hash[0] = 0; /* each step makes its own */
	return status;
}

static int score(struct bench *b, struct err *e)
{
	double sum;
	int status = scorer_run(b->scorer, (const struct document *[]){ &b->document }, 1, false, &sum, NULL, NULL,
	                        NULL, e);
	if (status == 0)
		keep(b, &sum, sizeof(sum));
	return status;
}

static int feed(struct bench *b, struct err *e)
{
	const float *logits;
	session_truncate(b->session, 0, 0);
	int status = session_feed(b->session, 0, b->ids, IDS, &logits, e);
	if (status == 0)
		keep(b, logits, (size_t)b->model.config.V * sizeof(*logits));
	return status;
}

static int read_rows(struct bench *b, struct err *e)
{
	struct rows r;
	int status = rows_load(&r, b->rows, e);
	if (status == 0)
		strcpy(b->hash, r.hash);
	rows_release(&r);
	return status;
}

static int read_gz(struct bench *b, struct err *e)
{
	struct buf text = BUF_INIT;
	int status = io_read_gz(&text, b->gz, e);
	if (status == 0)
		keep(b, text.data, text.len);
	buf_release(&text);
	return status;
}

static int hash_file(struct bench *b, struct err *e)
{
	return io_hash(b->gz, b->hash, e);
}

static int prepare(struct bench *b, struct err *e)
{
	char *path = io_join(test_golden(), "llama.gguf");
	struct model m;
	int status = model_open(&m, path, e);
	if (status == 0) {
		status = model_prepare(&m, b->pool, COMPUTE_INT8, PREPARE_TRAIN, e);
		model_close(&m);
	}
	mem_free(path);
	return status;
}

static const struct stopped_work {
	const char *name;
	long least;               /* looks */
	int (*run)(struct bench *b, struct err *e);
} works[] = {
	{ "opening and planning a run of many steps", 2000, plan_steps },
	{ "a training step", 100, train_step },
	{ "scoring a document", 20, score },
	{ "reading a prompt's tokens", 20, feed },
	{ "reading rows", 50, read_rows },
	{ "inflating a file", 20, read_gz },
	{ "hashing a file", 3, hash_file },
	{ "matrices put in order", 2, prepare },
};

static void test_work(struct bench *b, const struct stopped_work *w)
{
	struct err e = ERR_INIT;
	char want[33];

	test_case(b->t, "%s", w->name);
	hold(LONG_MAX);
	CHECK_MSG(b->t, w->run(b, &e) == 0, "%s", e.msg);
	long total = atomic_load(&looks), at[] = { 0, 1, total / 2, total - 2 };
	CHECK_MSG(b->t, total >= w->least, "%ld looks", total);
	strcpy(want, b->hash);
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		e = (struct err)ERR_INIT;
		hold(at[i]);
		int status = w->run(b, &e);
		if (i < 3) /* how often is looked where time is measured is not always the same */
			CHECK_MSG(b->t, status < 0 && stop_ended(&e), "yes at look %ld of %ld: %d %s", at[i], total,
			          status, e.msg);
		hold(LONG_MAX);
		CHECK_MSG(b->t, w->run(b, &e) == 0 && !strcmp(b->hash, want), "after %ld of %ld: %s", at[i], total,
		          e.msg);
	}
	stop_hold(NULL);
}

/* A run that is stopped inside its steps, at many places, ends in the bits of one that is not. */
static void test_bits(struct bench *b)
{
	char whole[33], stopped[33];
	struct training s;
	struct step_metrics m;
	struct err e = ERR_INIT;
	long given_up = 0;

	test_case(b->t, "steps that are given up and done again change no bit");
	training_run(b->t, "llama", b->rows, "max-steps=6 batch-size=2 gradient-accumulation-steps=2", 2, whole, NULL);
	if (training_begin(b->t, &s, &b->few, 2))
		for (long at = 3; !trainer_done(s.trainer); at = at * 3 % 1009) {
			hold(at);
			int status = trainer_step(s.trainer, &m, &e);
			CHECK_MSG(b->t, status == 0 || stop_ended(&e), "%s", e.msg);
			given_up += status < 0;
			stop_hold(NULL);
			if (status < 0)
				CHECK_MSG(b->t, trainer_step(s.trainer, &m, &e) == 0, "%s", e.msg);
		}
	params_hash(trainer_params(s.trainer), stopped);
	CHECK_MSG(b->t, given_up > 1 && !strcmp(whole, stopped), "%ld given up", given_up);
	training_end(&s);
}

/* A pipe that nobody writes to, or opens. */
static void test_waiting(struct bench *b)
{
	struct err e = ERR_INIT;
	struct buf text = BUF_INIT;
	char *path = io_join(test_tmp(), "nobody-writes");
	int pipes[2], in = dup(STDIN_FILENO);

	test_case(b->t, "waiting for a pipe");
	CHECK(b->t, mkfifo(path, 0600) == 0 && pipe(pipes) == 0 && dup2(pipes[0], STDIN_FILENO) >= 0);
	hold(1);
	CHECK_MSG(b->t, io_read(&text, path, &e) < 0 && stop_ended(&e), "%s", e.msg);
	hold(1);
	CHECK_MSG(b->t, io_read(&text, "-", &e) < 0 && stop_ended(&e), "%s", e.msg);
	stop_hold(NULL);
	dup2(in, STDIN_FILENO);
	close(in);
	close(pipes[0]);
	close(pipes[1]);
	buf_release(&text);
	mem_free(path);
}

static void write_gz(struct bench *b)
{
	gzFile f;
	char piece[4096];

	b->gz = io_join(test_tmp(), "noise.gz");
	f = gzopen(b->gz, "wb1");
	for (int i = 0; f && i < 500; i++) {
		for (size_t k = 0; k < sizeof(piece); k++)
			piece[k] = (char)((i * 7919 + (int)k * (int)k * 31) >> 3);
		gzwrite(f, piece, sizeof(piece));
	}
	CHECK(b->t, f && gzclose(f) == Z_OK);
}

static void begin(struct bench *b)
{
	struct err e = ERR_INIT;
	char *path = io_join(test_golden(), "llama");

	b->pool = pool_new(3);
	b->device = device_cpu(kernels_get(NULL, &e), b->pool);
	b->rows = write_rows(b->t, 60);
	job_init(b->t, &b->many, "llama", b->rows, "max-steps=32000 batch-size=1");
	job_init(b->t, &b->few, "llama", b->rows, "max-steps=6 batch-size=2 gradient-accumulation-steps=2");
	for (int i = 0; i < IDS; i++) {
		b->ids[i] = 5 + i * 7 % 200;
		b->learn[i] = i > 0;
	}
	b->document = (struct document){ .ids = b->ids, .learn = b->learn, .n = IDS, .n_learn = IDS - 1, .choice = -1,
		                         .file = "ids" };
	CHECK_MSG(b->t, model_open(&b->model, path, &e) == 0, "%s", e.msg);
	CHECK(b->t, scorer_new(&b->scorer, &b->model, NULL, &b->device,
	                       &(struct scorer_options){ .max_tokens = 128, .max_length = 128 }, &e) == 0);
	CHECK(b->t, session_new(&b->session, &b->model, NULL, &b->device, &(struct session_size){ .n_ctx = 128 }, &e) ==
	                    0);
	training_begin(b->t, &b->training, &b->many, 2);
	write_gz(b);
	mem_free(path);
}

static void end(struct bench *b)
{
	training_end(&b->training);
	session_free(b->session);
	scorer_free(b->scorer);
	model_close(&b->model);
	job_release(&b->many);
	job_release(&b->few);
	pool_free(b->pool);
	mem_free(b->rows);
	mem_free(b->gz);
}

void test_stop(struct test *t);

void test_stop(struct test *t)
{
	struct bench b = { .t = t };
	const struct log_sink silent = { 0 }, *before = log_lend(&silent);

	test_case(t, "a model, rows, a run");
	begin(&b);
	for (size_t i = 0; i < ARRAY_LEN(works); i++)
		test_work(&b, &works[i]);
	test_bits(&b);
	test_waiting(&b);
	end(&b);
	log_lend(before);
}
