/* index_survey: see index_survey.h. The sample is every k-th document; where it would be too many, every second goes
 * and k doubles. */
#include "cmd/index/index_survey.h"

#include <math.h>
#include <string.h>

#include "base/human.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/stop.h"
#include "cmd/index/index_adding.h"
#include "cmd/index/index_chunks.h"
#include "cmd/index/index_input.h"
#include "cmd/metering.h"
#include "op/timing.h"

enum { SAMPLE = 256, SAMPLE_CHUNKS = 512, SAMPLE_BYTES = 8 << 20, SURVEY_BYTES = 8 << 20 };

/* Of a text's byte and of a piece: seconds, bytes of memory until a commit, bytes of files. Past runs say better. */
#define BYTE_SECONDS 4e-8
#define CHUNK_SECONDS 2.2e-5
#define DOCUMENT_SECONDS 2.2e-5
#define COMMIT_SECONDS 0.03
#define BYTE_MEMORY 1.8
#define TEXT_MEMORY 2.2 /* of a document's byte while it is read: itself, its pieces */
#define CHUNK_MEMORY 150.0
#define BYTE_FILES 1.9
#define CHUNK_FILES 40.0

struct sampled { char *title, *text; };

struct looking {
	struct index_adding *a;
	const struct index_settings *settings;
	struct index_survey *s;
	struct input in;
	struct sampled items[SAMPLE];
	size_t base;                   /* bytes of the process before it looked */
	size_t n, step, held;          /* every step-th document; bytes of them */
	double sampled_bytes;
	struct arena mem;
	struct document docs[SAMPLE_CHUNKS];
	const struct document *pointers[SAMPLE_CHUNKS];
	size_t n_docs;
	int64_t doc_tokens;
};

/* --- documents --- */

static double title_bytes(const char *title) { return title ? (double)strlen(title) + 1 : 0; }

static void halve(struct looking *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (i % 2) {
			l->held -= strlen(l->items[i].text);
			mem_free(l->items[i].text);
			mem_free(l->items[i].title);
		} else {
			l->items[n++] = l->items[i];
		}
	}
	l->n = n;
	l->step *= 2;
}

static int look(void *ctx, const struct input_document *d, struct err *e)
{
	struct looking *l = ctx;
	enum index_known known = INDEX_NEW;
	char hash[33];

	input_hash(d, hash);
	if (l->a->index && index_knows(l->a->index, d->id, hash, &known, e) < 0)
		return -1;
	if (known == INDEX_SAME) {
		l->s->same++;
		return 0;
	}
	size_t number = (size_t)l->s->documents++;
	l->s->bytes += (double)d->n + title_bytes(d->title);
	if (number % l->step == 0) {
		if (l->n == SAMPLE || (l->held > SAMPLE_BYTES && l->n > 1))
			halve(l);
		if (number % l->step == 0) {
			l->items[l->n++] = (struct sampled){ d->title ? mem_strdup(d->title) : NULL,
				                             mem_strdup(d->text) };
			l->held += d->n;
		}
	}
	return !l->a->embedder && l->s->bytes > SURVEY_BYTES;
}

/* What was read stands for what was not. */
static void scale(struct looking *l)
{
	struct index_survey *s = l->s;
	double by = l->in.done > 0 ? fmax(s->files / l->in.done, 1) : 1;

	s->documents *= by;
	s->bytes *= by;
	s->same *= by;
}

static int read_all(struct looking *l, const char *const *paths, size_t n, struct err *e)
{
	struct input sizes = { 0 };
	int status = 0;

	for (size_t i = 0; i < n && status == 0; i++)
		status = input_read(&sizes, paths[i], e);
	l->s->files = sizes.all;
	l->s->largest_rows = sizes.largest_rows;
	l->s->largest_text = sizes.largest_text;
	input_release(&sizes);
	for (size_t i = 0; i < n && status == 0; i++)
		status = input_read(&l->in, paths[i], e);
	if (status > 0)
		scale(l);
	input_release(&l->in);
	return MIN(status, 0);
}

/* --- pieces --- */

struct pieces { struct index_span *spans; size_t n; };

static int tokenize(struct looking *l, const struct pieces *of, size_t all, struct err *e)
{
	size_t step = (all + SAMPLE_CHUNKS - 1) / SAMPLE_CHUNKS, number = 0;

	for (size_t i = 0; i < l->n; i++)
		for (size_t k = 0; k < of[i].n; k++) {
			if (number++ % step)
				continue;
			const char *text = index_chunk_text(&l->mem, l->items[i].title, of[i].spans[k]);
			struct document *d = &l->docs[l->n_docs];
			size_t cut;
			if (index_encode(l->a->embedder, (struct index_span){ text, strlen(text) }, false, &l->mem, d,
			                 &cut, e) < 0)
				return -1;
			l->pointers[l->n_docs++] = d;
			l->doc_tokens += d->n;
		}
	l->s->tokens = l->n_docs ? (double)l->doc_tokens * (double)all / (double)l->n_docs : 0;
	return 0;
}

static int cut_sample(struct looking *l, struct err *e)
{
	struct pieces *of = arena_array(&l->mem, l->n + 1, sizeof(*of));
	const struct tokenizer *t = l->a->embedder ? l->a->embedder->model->tokenizer : NULL;
	size_t all = 0;
	double bytes = 0, pieces = 0;
	int status = 0;

	for (size_t i = 0; i < l->n && status == 0; i++) {
		size_t n = strlen(l->items[i].text);
		double title = title_bytes(l->items[i].title);
		status = index_chunks(l->items[i].text, n, t, l->settings->chunk_tokens, l->settings->overlap, &l->mem,
		                      &of[i].spans, &of[i].n, e);
		all += of[i].n;
		bytes += (double)n + title;
		for (size_t k = 0; k < of[i].n; k++)
			pieces += (double)of[i].spans[k].n + title;
	}
	if (status == 0 && t)
		status = tokenize(l, of, all, e);
	double by = bytes > 0 ? l->s->bytes / bytes : 0;
	l->s->bytes = pieces * by;
	l->s->chunks = (double)all * by;
	l->s->tokens *= by;
	return status;
}

/* --- the plan --- */

static double file_bytes(const struct looking *l)
{
	const struct index_survey *s = l->s;
	const struct vectors_form f = { l->settings->vectors, (size_t)l->settings->width };
	double vectors = f.width ? (double)vectors_bytes(&f, (size_t)s->chunks) : 0;

	return BYTE_FILES * s->bytes + CHUNK_FILES * (s->chunks + s->documents) + vectors;
}

/* A file of rows as it is read; a text and its pieces. */
static double reading_bytes(const struct index_survey *s)
{
	return fmax(s->largest_rows, TEXT_MEMORY * s->largest_text);
}

/* Of what waits for a commit, which is never in the midst of a document. */
static double waiting_bytes(const struct looking *l)
{
	const struct index_survey *s = l->s;
	double share = s->bytes > 0 ? fmin(1, ((double)l->a->commit_bytes + s->largest_text) / s->bytes) : 0;

	return share * (BYTE_MEMORY * s->bytes + (CHUNK_MEMORY + 4.0 * l->settings->width) * s->chunks);
}

static int predict_embedding(struct looking *l, struct predicted *p, struct err *e)
{
	struct index_embedder *x = l->a->embedder;
	uint8_t *token = mem_array((size_t)x->model->config.V, 1);
	struct model_reads reads = { .token = token, .no_head = true };
	struct scorer_forecast f = { .touch_rate = TIMING_SLOW_RATE };
	double by = l->doc_tokens ? l->s->tokens / (double)l->doc_tokens : 0;
	int status = l->n_docs ? scorer_forecast(embedder_scorer(x->embedder), l->pointers, l->n_docs, false, &f, e) :
	                         0;

	for (size_t i = 0; i < l->n_docs; i++)
		for (int32_t k = 0; k < l->docs[i].n; k++)
			token[l->docs[i].ids[k]] = 1;
	p->loose_seconds = (double)f.bytes / TIMING_SLOW_RATE;
	predict_phase(p, "start", (double)f.bytes / f.touch_rate +
	                                  loaded_predict(x->holder, p, &reads, f.bytes, 0, "activations"));
	predict_phase(p, "embed", f.seconds * by);
	predict_operations(p, f.flops * by, f.int_ops * by);
	mem_free(token);
	return status;
}

static void tell(const void *ctx, say_fn *say)
{
	const struct looking *l = ctx;
	const struct index_survey *s = l->s;
	char size[32];

	human_bytes((size_t)file_bytes(l), size);
	if (l->a->embedder)
		say("%.0f documents, about %.0f chunks and %.0f tokens to embed, %s of files", s->documents, s->chunks,
		    s->tokens, size);
	else
		say("about %.0f documents, %.0f chunks, %s of files; words alone", s->documents, s->chunks, size);
	if (s->same > 0)
		say("  %.0f documents are there already", s->same);
}

/* --memory: committed so often that what waits has room. */
static int fit_memory(struct looking *l, const struct predicted *p, struct err *e)
{
	double most = (double)l->a->memory;
	char needs[32], limit[32];

	if (!l->a->memory)
		return 0;
	while (p->bytes + waiting_bytes(l) > most && l->a->commit_bytes / 2 >= INDEX_LEAST_COMMIT)
		l->a->commit_bytes /= 2;
	if (p->bytes + waiting_bytes(l) <= most)
		return 0;
	human_bytes((size_t)(p->bytes + waiting_bytes(l)), needs);
	return err_set(e, "--memory %s: adding these documents takes %s at least", human_bytes(l->a->memory, limit),
	               needs);
}

static int predict(struct looking *l, struct predicted *p, struct err *e)
{
	const struct index_survey *s = l->s;

	if (l->a->embedder)
		predict_begin(p, "index %s", compute_name(l->a->embedder->model->compute));
	else
		predict_begin(p, "index words");
	if (l->a->embedder && predict_embedding(l, p, e) < 0)
		return -1;
	if (!l->a->embedder)
		predict_part(p, "base", (double)l->base, "program, libraries");
	predict_part(p, "file", reading_bytes(s), "the largest, as it is read");
	if (fit_memory(l, p, e) < 0)
		return -1;
	predict_part(p, "pending", waiting_bytes(l), "documents until they are committed");
	double commits = COMMIT_SECONDS * (2 + s->bytes / (double)l->a->commit_bytes);
	predict_phase(p, "words", BYTE_SECONDS * s->bytes + CHUNK_SECONDS * s->chunks +
	                                  DOCUMENT_SECONDS * s->documents);
	predict_phase(p, "commit", commits);
	p->loose_seconds += commits;
	return 0;
}

static int plan_it(struct looking *l, struct err *e)
{
	const struct index_survey *s = l->s;
	struct predicted p;

	if (predict(l, &p, e) < 0)
		return -1;
	json_t *facts = json_pack("{s:f, s:f, s:f, s:f}", "documents", round(s->documents), "chunks", round(s->chunks),
	                          "tokens", round(s->tokens), "disk_bytes", round(file_bytes(l)));
	const struct planned_options o = { .facts = facts, .lines = tell, .ctx = l };
	return planned(l->a->app, &p, &o, e);
}

/* --- the whole --- */

int index_surveyed(struct index_adding *a, const struct index_settings *s, const char *const *paths, size_t n,
                   struct err *e)
{
	struct looking *l = mem_alloc(sizeof(*l));
	struct err fault = ERR_INIT;

	*l = (struct looking){ .a = a, .settings = s, .s = &a->survey, .step = 1, .base = mem_rss(),
		               .in = { .take = look, .ctx = l } };
	int status = read_all(l, paths, n, &fault);
	/* What cannot be read is told when it is reached, after what stands before it. */
	status = status < 0 && (a->app->plans || stop_ended(&fault)) ? err_set(e, "%s", fault.msg) : 0;
	if (status == 0)
		status = cut_sample(l, e);
	if (status == 0)
		status = plan_it(l, e);
	for (size_t i = 0; i < l->n; i++) {
		mem_free(l->items[i].title);
		mem_free(l->items[i].text);
	}
	arena_release(&l->mem);
	mem_free(l);
	return status;
}
