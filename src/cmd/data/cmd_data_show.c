/* data show: what token shards are: sources, tokens, how they were made, what was left out; their documents as text. */
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/data/corpus_view.h"
#include "cmd/metering.h"
#include "token/tokenizer.h"

extern const struct command cmd_data_show;

struct options {
	struct common common;
	const char *tokenizer;
	int64_t show, documents, context;
	bool verify;
};

static const struct opt show_opts[] = {
	OPT_INT("show", struct options, show, "0", 0, 1000000, "N examples of what each rule left out"),
	OPT_INT("documents", struct options, documents, "0", 0, 1000000, "print the first N documents of each source"),
	OPT_STRING("tokenizer", struct options, tokenizer, NULL, "T",
	           "that of the shards: documents are shown as text, not as numbers"),
	OPT_INT("context", struct options, context, NULL, 1, 1 << 24,
	        "how many windows of so many tokens there are, and in how many pieces one falls at most"),
	OPT_FLAG("verify", struct options, verify, "false", "read everything and compare hashes"),
	COMMON_OPTS(struct options, common),
	OPT_END
};

/* --- documents --- */

static int show_document(const struct app *app, const struct shards *s, const struct tokenizer *t, size_t source,
                         uint64_t i, struct err *e)
{
	uint64_t n, at = shards_document(&s->sources[source].split[SHARDS_TRAIN], i, &n);
	int32_t *ids = mem_array((size_t)n, sizeof(*ids));
	struct buf text = BUF_INIT;
	int status = shards_read(s, source, SHARDS_TRAIN, at, (size_t)n, ids, e);

	if (!status && t)
		tokenizer_decode(t, ids, (size_t)n, false, &text);
	for (uint64_t k = 0; k < n && !status && !t; k++)
		buf_addf(&text, "%s%d", k ? " " : "", ids[k]);
	if (!status && app->json) {
		json_t *list = json_array();
		for (uint64_t k = 0; k < n; k++)
			json_array_append_new(list, json_integer(ids[k]));
		json_t *j = json_pack("{s:s, s:I, s:o}", "source", s->sources[source].name, "document", (json_int_t)i,
		                      "ids", list);
		if (t)
			json_object_set_new(j, "text", jsonx_text(buf_str(&text), text.len));
		app_json(j);
		json_decref(j);
	} else if (!status) {
		app_print("\n%s %llu: %llu tokens\n", s->sources[source].name, (unsigned long long)i,
		          (unsigned long long)n);
		app_text(buf_str(&text), text.len);
		app_print("\n");
	}
	buf_release(&text);
	mem_free(ids);
	return status;
}

static int show_documents(const struct app *app, const struct shards *s, const struct options *o,
                          const struct tokenizer *t, struct err *e)
{
	for (size_t source = 0; source < s->n_sources; source++)
		for (uint64_t i = 0; i < s->sources[source].split[SHARDS_TRAIN].documents && (int64_t)i < o->documents;
		     i++)
			if (show_document(app, s, t, source, i, e) < 0)
				return -1;
	return 0;
}

/* --- the whole --- */

static json_t *windows_json(const struct shards *s, int32_t context)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->n_sources; i++)
		for (int split = 0; split < SHARDS_SPLITS; split++) {
			const struct shards_stream *x = &s->sources[i].split[split];
			json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:i}", "source", s->sources[i].name,
			                                      "split", shards_split_name(split), "windows",
			                                      (json_int_t)shards_windows(x, context), "most_pieces",
			                                      shards_most_pieces(x, context)));
		}
	return list;
}

static void say_windows(const json_t *windows, int32_t context)
{
	size_t i;
	const json_t *x;

	json_array_foreach ((json_t *)windows, i, x)
		app_print("  %s, %s: %lld windows of %d tokens, of %lld pieces at most\n",
		          json_string_value(json_object_get(x, "source")),
		          json_string_value(json_object_get(x, "split")),
		          (long long)json_integer_value(json_object_get(x, "windows")), context,
		          (long long)json_integer_value(json_object_get(x, "most_pieces")));
}

/* NULL: shards that have none, made by something else than data build. */
static json_t *read_report(const struct shards *s)
{
	struct err ignored = ERR_INIT;
	char *path = io_join(s->path, "report.json");
	json_t *j = io_exists(path) ? jsonx_load_file(path, &ignored) : NULL;

	mem_free(path);
	return j;
}

static int show(const struct app *app, const struct shards *s, const struct options *o, const struct tokenizer *t,
                struct err *e)
{
	json_t *windows = o->context != OPT_UNSET_INT ? windows_json(s, (int32_t)o->context) : NULL;
	json_t *report = read_report(s), *j = json_deep_copy(s->manifest);

	if (!app->json) {
		corpus_view_shards(s);
		if (report)
			corpus_view_print(report, (size_t)o->show);
		say_windows(windows, (int32_t)o->context);
		if (o->verify)
			app_print("  every hash is right\n");
	}
	int status = show_documents(app, s, o, t, e);
	json_object_set_new(j, "hash", json_string(s->hash));
	json_object_set_new(j, "report", report ? report : json_null());
	json_object_set_new(j, "windows", windows ? windows : json_null());
	json_object_set_new(j, "verified", json_boolean(o->verify));
	if (status < 0)
		json_decref(j);
	else
		app_summary(app, j);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const struct options *o = options;
	struct tokenizer *t = NULL;
	struct shards s;

	app_catch_signals();
	if (o->tokenizer && !o->documents)
		return app_usage(&cmd_data_show, "--tokenizer is for --documents");
	if (shards_open(&s, p->positional[0], e) < 0)
		return -1;
	int status = o->tokenizer && !(t = tokenizer_open(o->tokenizer, e)) ? -1 : 0;
	if (!status && t)
		status = shards_check_tokenizer(&s, t, e);
	if (!status && o->verify)
		status = shards_verify(&s, e);
	if (!status)
		status = show(app, &s, o, t, e);
	tokenizer_free(t);
	shards_close(&s);
	return status;
}

const struct command cmd_data_show = {
	.name = "data show",
	.summary = "what token shards hold, how they were made, what was left out",
	.usage = "SHARDS [--documents N --tokenizer T] [--verify]",
	.example = "kungfu data show shards --context 1024",
	.brief = "what token shards hold",
	.looks = true,
	.order = 42,
	.opts = show_opts,
	.options_size = sizeof(struct options),
	.least = 1,
	.most = 1,
	.wanted = "a folder of shards was wanted",
	.run = run,
};
