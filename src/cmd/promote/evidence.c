/* evidence: a task is opened, and its rows are hashed, before it is known whether anything must be computed; of rows of
 * --data likewise. Lines are written before they are read, so what is judged is what the file says. */
#include "cmd/promote/evidence.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "data/rows.h"
#include "eval/evaluate.h"
#include "exam/suite.h"

enum { MICRO_BATCH = 1024, TEXT_WINDOW = 1024, FEWSHOT_SEED = 1234, SUITE_TOKENS = 96,
       FORM = 1 /* of the files */ };

/* --- a side --- */

int evidence_open(struct evidence_side *s, struct err *e)
{
	if (loaded_open(&s->l, s->path, s->adapter, e) < 0)
		return -1;
	const char *adapter = s->adapter ? s->adapter : s->l.own_adapter;
	int status = s->l.model.labels ? 0 : model_want_causal(&s->l.model, e);
	if (status == 0)
		status = source_hash(&s->l.model.source, s->hash, e);
	if (status == 0 && adapter)
		status = adapter_hash(adapter, s->adapter_hash, e);
	if (status == 0)
		status = loaded_text(&s->l, e);
	if (status < 0)
		loaded_close(&s->l);
	return status;
}

void evidence_close(struct evidence_side *s) { loaded_close(&s->l); }

static int make_ready(struct evidence_side *s, struct err *e)
{
	if (!s->ready && model_compute(s->app, &s->l.model, s->compute, PREPARE_SCORE, e) < 0)
		return -1;
	s->ready = true;
	metering_phase("evaluate");
	return 0;
}

/* --- files --- */

static char *path_of(const struct evidence_side *s, const json_t *asked, const char *rows)
{
	json_t *all = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:O}", "form", FORM, "version", KUNGFU_VERSION,
	                        "compute", s->compute, "model", s->hash, "adapter", s->adapter_hash, "rows", rows,
	                        "asked", (json_t *)(uintptr_t)asked);
	char *text = jsonx_line(all), hex[33];

	hash_hex(text, strlen(text), hex);
	mem_free(text);
	json_decref(all);
	return mem_printf("%s/%s.jsonl", s->folder, hex);
}

static int write_lines(const char *folder, const char *path, const json_t *lines, struct err *e)
{
	struct io_writer w;
	size_t i;
	json_t *line;

	if (io_mkdirs(folder, e) < 0 || io_writer_open(&w, path, e) < 0)
		return -1;
	int status = 0;
	json_array_foreach((json_t *)(uintptr_t)lines, i, line) {
		char *text = jsonx_line(line);
		if (status == 0)
			status = io_writer_add(&w, text, strlen(text), e);
		if (status == 0)
			status = io_writer_add(&w, "\n", 1, e);
		mem_free(text);
	}
	status = io_writer_end(&w, status, e);
	metering_out("samples", path);
	return status;
}

/* --- what lines say --- */

/* A line's number; −1 and a sentence where it has none. */
static int number_of(struct evidence *v, const json_t *line, const struct requirement *r, size_t i, struct err *e)
{
	bool bits = strstr(r->metric, "bits_per"), sums = bits || strstr(r->metric, "perplexity");
	const json_t *x = json_object_get(line, r->metric);

	if (r->data && v->perplexity) {
		double tokens = json_number_value(json_object_get(line, "tokens"));
		v->value[i] = -json_number_value(json_object_get(line, "logprob")) / tokens;
		v->weight[i] = tokens;
		return tokens > 0 ? 0 : err_set(e, "a row has no perplexity");
	}
	if (r->data && !x && !strcmp(r->metric, "accuracy") && json_object_get(line, "predicted")) {
		v->value[i] = json_equal(json_object_get(line, "predicted"), json_object_get(line, "label"));
		return 0;
	}
	if (sums && json_array_size(x) == 2) {
		double weight = json_number_value(json_array_get(x, 1));
		v->value[i] = -json_number_value(json_array_get(x, 0)) / weight / (bits ? M_LN2 : 1);
		v->weight[i] = weight;
		return weight > 0 ? 0 : err_set(e, "%s: a row weighs nothing", r->metric);
	}
	if (!json_is_number(x) && !json_is_boolean(x))
		return err_set(e, x ? "%s is no number of a row: it cannot be paired" :
		                      "%s is not measured of these rows", r->metric);
	v->value[i] = json_is_boolean(x) ? json_is_true(x) : json_number_value(x);
	v->value[i] = sums ? -v->value[i] : v->value[i];
	return 0;
}

static json_t *id_of(const json_t *line)
{
	static const char *const names[] = { "task", "doc_id", "doc_hash", "line" };
	json_t *id = json_array();

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (json_object_get(line, names[i]))
			json_array_append(id, json_object_get(line, names[i]));
	return id;
}

static int cluster_of(struct evidence *v, json_t *seen, const json_t *line, const char *column, size_t i, struct err *e)
{
	const json_t *kin = json_object_get(json_object_get(line, "doc"), column);
	char *key = kin ? json_dumps(kin, JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;

	if (!key)
		return err_set(e, "cluster_by: a row has no column %s", column);
	if (!json_object_get(seen, key))
		json_object_set_new(seen, key, json_integer((json_int_t)json_object_size(seen)));
	v->cluster[i] = (size_t)json_integer_value(json_object_get(seen, key));
	mem_free(key);
	return 0;
}

/* Of the requirement's filter, or the first that lines have; of a suite's part, of its task. */
static bool is_wanted(const json_t *line, const struct requirement *r, const char **filter)
{
	const char *own = json_string_value(json_object_get(line, "filter")),
		   *task = json_string_value(json_object_get(line, "task"));

	if (r->suite && (!task || strcmp(task, r->task) != 0))
		return false;
	if (own && !*filter)
		*filter = own;
	return !own || !strcmp(own, *filter);
}

static int take_lines(struct evidence *v, const struct rows *lines, const struct requirement *r, struct err *e)
{
	json_t *seen = json_object();
	const char *filter = r->filter;
	int status = 0;

	v->value = mem_array(lines->n, sizeof(double));
	v->weight = mem_array(lines->n, sizeof(double));
	v->cluster = r->cluster_by ? mem_array(lines->n, sizeof(size_t)) : NULL;
	v->ids = json_array();
	for (size_t i = 0; i < lines->n && status == 0; i++) {
		const json_t *line = lines->items[i].json;
		if (!is_wanted(line, r, &filter))
			continue;
		status = number_of(v, line, r, v->n, e);
		if (status == 0 && v->cluster)
			status = cluster_of(v, seen, line, r->cluster_by, v->n, e);
		json_array_append_new(v->ids, id_of(line));
		v->n++;
	}
	json_decref(seen);
	if (status == 0 && !v->n)
		status = err_set(e, "there are no rows%s%s", r->filter ? " of the filter " : "",
		                 r->filter ? r->filter : "");
	if (status == 0 && !(v->weight[0] > 0)) {
		mem_free(v->weight);
		v->weight = NULL;
	}
	return status;
}

static int read_file(struct evidence *v, const struct requirement *r, struct err *e)
{
	struct rows lines = { 0 };
	int status = rows_load_objects(&lines, v->file, e);

	if (status == 0)
		status = io_hash(v->file, v->hash, e);
	if (status == 0)
		status = take_lines(v, &lines, r, e);
	rows_release(&lines);
	return status;
}

/* --- tasks --- */

static int tell(void *ctx, const char *doing, size_t done, size_t total)
{
	(void)ctx;
	metering_tick();
	if (metering_seconds() > 2)
		log_live("%s: %zu of %zu requests  %s", doing, done, total, metering_live());
	return app_interrupted();
}

static int add_lines(const struct exam_scores *s, json_t *lines, struct err *e)
{
	for (size_t f = 0; f < s->n_filters; f++)
		for (size_t i = 0; i < s->asked->n_docs; i++) {
			json_t *line = exam_sample(s, f, i, e);
			if (!line)
				return -1;
			json_object_set_new(line, "task", json_string(s->asked->task->name));
			json_array_append_new(lines, line);
		}
	return 0;
}

/* The tasks of a requirement: named ones, or those of a part of the suite. */
struct opened {
	struct exams named, *tasks;
	struct suite suite;
	bool is_suite;
};

static int open_tasks(struct opened *o, const struct requirement *r, struct err *e)
{
	const struct exam_source from = { r->task_data, r->num_fewshot == OPT_UNSET_INT ? -1 : r->num_fewshot };
	const struct suite_source of = { .parts = r->part, .data = r->suite_data, .canaries = r->canaries,
		                         .training_data = r->training_data,
		                         .limit = r->limit == OPT_UNSET_INT ? 0 : r->limit,
		                         .max_new_tokens = SUITE_TOKENS };

	*o = (struct opened){ .is_suite = r->suite };
	o->tasks = r->suite ? &o->suite.exams : &o->named;
	return r->suite ? suite_open(&o->suite, &of, e) : exams_open(&o->named, &r->task, 1, &from, e);
}

static void close_tasks(struct opened *o)
{
	if (o->is_suite)
		suite_release(&o->suite);
	else
		exams_release(&o->named);
}

static int ask(struct evidence_side *s, const struct requirement *r, struct opened *o, struct exam_asked *asked,
               size_t *n, struct err *e)
{
	const struct text_codec codec = { s->l.model.tokenizer, s->l.chat };
	const struct exam_how how = { .codec = &codec, .apply_chat_template = r->apply_chat_template,
		                      .fewshot_as_multiturn = r->apply_chat_template, .seed = FEWSHOT_SEED,
		                      .limit = r->limit == OPT_UNSET_INT ? 0 : r->limit };
	int status = 0;

	*n = 0;
	if (o->is_suite) {
		status = suite_ask(&o->suite, &codec, asked, e);
		*n = status == 0 ? o->tasks->n : 0;
		return status;
	}
	for (; *n < o->tasks->n && status == 0; *n += status == 0)
		status = exam_ask(&o->tasks->items[*n], &how, &asked[*n], e);
	return status;
}

static int run(struct evidence_side *s, struct exam_asked *asked, size_t n, json_t *lines, struct err *e)
{
	const struct exam_subject subject = { &s->l.model, loaded_overlay(&s->l), s->app->device };
	struct exam_run_options run = { .max_length = s->l.model.config.n_ctx - overlays_virtual(subject.overlay),
		                        .micro_batch_tokens = MICRO_BATCH, .seed = FEWSHOT_SEED, .progress = tell };
	struct exam_asked **list = mem_array(n, sizeof(*list));

	for (size_t i = 0; i < n; i++)
		list[i] = &asked[i];
	int status = exam_run(&subject, list, n, &run, e);
	log_live_end();
	mem_free(list);
	metering_count(run.tokens, run.new_tokens, run.scored_tokens, run.flops, run.int_ops);
	for (size_t i = 0; i < n && status == 0; i++) {
		struct exam_scores scores = { 0 };
		status = exam_score(&asked[i], &scores, e);
		if (status == 0)
			status = add_lines(&scores, lines, e);
		exam_scores_release(&scores);
	}
	return status;
}

static int measure_tasks(struct evidence_side *s, const struct requirement *r, struct opened *o, json_t *lines,
                         struct err *e)
{
	struct exam_asked *asked = mem_array(o->tasks->n, sizeof(*asked));
	size_t n = 0;
	int status = make_ready(s, e);

	if (status == 0 && (r->apply_chat_template || o->is_suite) && !s->l.chat)
		status = loaded_chat(&s->l, e);
	if (status == 0)
		status = ask(s, r, o, asked, &n, e);
	if (status == 0)
		status = run(s, asked, n, lines, e);
	for (size_t i = 0; i < n; i++)
		exam_asked_release(&asked[i]);
	mem_free(asked);
	return status;
}

/* What a task's lines follow from: its config, rows and examples. */
static void hash_tasks(const struct exams *tasks, char hex[33])
{
	struct hash_stream *h = hash_begin();

	for (size_t i = 0; i < tasks->n; i++) {
		const json_t *of[] = { tasks->items[i].config, tasks->items[i].docs, tasks->items[i].pool };
		hash_add(h, tasks->items[i].name, strlen(tasks->items[i].name) + 1);
		for (size_t k = 0; k < ARRAY_LEN(of); k++) {
			char *text = of[k] ? json_dumps(of[k], JSON_COMPACT) : NULL;
			hash_add(h, text ? text : "", text ? strlen(text) + 1 : 1);
			mem_free(text);
		}
	}
	hash_end(h, hex);
}

static const struct exam_metric *metric_of(const struct exam *t, const char *name)
{
	for (size_t k = 0; k < t->n_metrics; k++)
		if (!strcmp(t->metric[k].name, name))
			return &t->metric[k];
	return NULL;
}

/* Of the suite's part one task is meant, of names all that they stand for. */
static int find_metric(struct evidence *v, const struct exams *tasks, const struct requirement *r, struct err *e)
{
	struct buf names = BUF_INIT;
	size_t found = 0;
	int status = 0;

	for (size_t i = 0; i < tasks->n && status == 0; i++) {
		const struct exam *t = &tasks->items[i];
		const struct exam_metric *m = metric_of(t, r->metric);
		buf_addf(&names, "%s%s", names.len ? ", " : "", t->name);
		if (r->suite && strcmp(t->name, r->task) != 0)
			continue;
		found++;
		if (!m)
			status = err_set(e, "%s does not measure %s", t->name, r->metric);
		else
			v->higher_is_better = m->higher_is_better;
	}
	if (status == 0 && !found)
		status = err_set(e, "%s is no task of %s: %.300s", r->task, r->part, buf_str(&names));
	v->perplexity = strstr(r->metric, "perplexity");
	buf_release(&names);
	return status;
}

static int get_tasks(struct evidence *v, struct evidence_side *s, const struct requirement *r, struct err *e)
{
	struct opened o;
	json_t *lines = json_array();
	char rows[33];
	int status = s->l.model.labels ? model_want_causal(&s->l.model, e) : open_tasks(&o, r, e);

	if (status < 0) {
		json_decref(lines);
		return -1;
	}
	status = find_metric(v, o.tasks, r, e);
	if (status == 0) {
		json_t *asked = json_pack("{s:b, s:I, s:I, s:b}", "chat", r->apply_chat_template, "limit",
		                          (json_int_t)r->limit, "shots", (json_int_t)r->num_fewshot, "suite",
		                          o.is_suite);
		hash_tasks(o.tasks, rows);
		v->file = path_of(s, asked, rows);
		v->kept = io_exists(v->file);
		json_decref(asked);
	}
	if (status == 0 && !v->kept)
		status = measure_tasks(s, r, &o, lines, e);
	if (status == 0 && !v->kept)
		status = write_lines(s->folder, v->file, lines, e);
	json_decref(lines);
	close_tasks(&o);
	return status;
}

/* --- rows --- */

static int watch(void *ctx, const struct evaluate_progress *p)
{
	(void)ctx;
	metering_tick();
	if (p->seconds > 2)
		log_live("%s: %.0f %%  %s", p->doing, 100.0 * (double)p->done / (double)p->total, metering_live());
	return app_interrupted();
}

static void keep_line(void *ctx, json_t *line) { json_array_append(ctx, line); }

static int measure_rows(struct evidence_side *s, const struct requirement *r, const struct rows *rows, json_t *lines,
                        struct err *e)
{
	int32_t all = s->l.model.config.n_ctx - overlays_virtual(loaded_overlay(&s->l)),
		length = rows->shape->judged == JUDGED_TEXTS ? MIN(all, TEXT_WINDOW) : all;
	struct evaluate_options eo = { .max_length = length, .stride = MAX(length / 2, 1),
		                       .micro_batch_tokens = MICRO_BATCH, .progress = watch, .detail = keep_line,
		                       .apply_chat_template = r->apply_chat_template, .ctx = lines };
	struct evaluation v = { 0 };
	int status = make_ready(s, e);

	if (status == 0 && evaluate_wants_template(rows, &eo) && !s->l.chat)
		status = loaded_chat(&s->l, e);
	struct subject subject = { &s->l.model, loaded_overlay(&s->l), s->l.chat, s->app->device };
	if (status == 0)
		status = evaluate(&v, &subject, rows, &eo, e);
	log_live_end();
	metering_count(v.tokens, v.new_tokens, v.scored_tokens, v.flops, v.int_ops);
	evaluation_release(&v);
	return status;
}

static int get_rows(struct evidence *v, struct evidence_side *s, const struct requirement *r, struct err *e)
{
	static const char *const names[] = { "acc", "acc_norm", "exact_match", "f1", "accuracy", "perplexity" };
	struct rows rows = { 0 }, some;
	json_t *lines = json_array();
	bool known = false;
	int status = rows_load(&rows, r->data, e);

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		known |= !strcmp(names[i], r->metric);
	if (status == 0 && !rows.n)
		status = err_set(e, "%s holds no rows", r->data);
	if (status == 0 && !known)
		status = err_set(e, "%s: of rows, acc, acc_norm, exact_match, f1, accuracy or perplexity was wanted",
		                 r->metric);
	some = rows;
	some.n = r->limit == OPT_UNSET_INT ? rows.n : MIN(rows.n, (size_t)r->limit);
	v->perplexity = !strcmp(r->metric, "perplexity");
	v->higher_is_better = !v->perplexity;
	if (status == 0) {
		json_t *asked = json_pack("{s:b, s:I}", "chat", r->apply_chat_template, "limit", (json_int_t)some.n);
		metering_in("data", r->data, rows.hash);
		v->file = path_of(s, asked, rows.hash);
		v->kept = io_exists(v->file);
		json_decref(asked);
	}
	if (status == 0 && !v->kept)
		status = measure_rows(s, r, &some, lines, e);
	if (status == 0 && !v->kept)
		status = write_lines(s->folder, v->file, lines, e);
	json_decref(lines);
	rows_release(&rows);
	return status;
}

int evidence_get(struct evidence *v, struct evidence_side *s, const struct requirement *r, struct err *e)
{
	*v = (struct evidence){ 0 };
	int status = (r->task ? get_tasks : get_rows)(v, s, r, e);

	if (status == 0)
		status = read_file(v, r, e);
	return status < 0 ? err_prefix(e, "%s", r->label) : 0;
}

void evidence_release(struct evidence *v)
{
	mem_free(v->value);
	mem_free(v->weight);
	mem_free(v->cluster);
	mem_free(v->file);
	json_decref(v->ids);
	*v = (struct evidence){ 0 };
}
