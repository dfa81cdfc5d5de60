/* data canaries: rows with secrets drawn by a seed (exam/canary.c), to be trained on among others; `eval --suite safety
 * --canaries` then tells how well the model knows them. The first N of a seed are the same for any N, so rows that are
 * left out of training are a control of the same kind. */
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/metering.h"
#include "exam/suite.h"

extern const struct command cmd_data_canaries;

struct options {
	struct common common;
	const char *out;
	int64_t count, skip, repeat, seed;
};

static const struct opt canaries_opts[] = {
	OPT_STRING("out", struct options, out, NULL, "FILE.jsonl", "rows of prompt and completion"),
	OPT_INT("count", struct options, count, "16", 1, CANARIES_MOST, "how many different ones"),
	OPT_INT("skip", struct options, skip, "0", 0, CANARIES_MOST - 1,
	        "begins behind the first N: others of the same seed, as a control"),
	OPT_INT("repeat", struct options, repeat, "1", 1, 10000, "each stands N times in the file"),
	OPT_INT("seed", struct options, seed, "42", 0, 9007199254740991.0, "what they are drawn by"),
	COMMON_OPTS(struct options, common),
	OPT_END
};

static int write_rows(const struct options *o, struct err *e)
{
	struct io_writer w;
	int status = io_writer_open(&w, o->out, e);

	for (int64_t k = 0; k < o->repeat && status == 0; k++)
		for (int64_t i = 0; i < o->count && status == 0; i++) {
			json_t *row = canary_row((uint64_t)o->seed, (uint32_t)(o->skip + i));
			char *line = jsonx_line(row);
			status = io_writer_add(&w, line, strlen(line), e) < 0 || io_writer_add(&w, "\n", 1, e) < 0 ?
				         -1 : 0;
			mem_free(line);
			json_decref(row);
		}
	return io_writer_end(&w, status, e);
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const struct options *o = options;

	(void)p;
	if (!o->out)
		return app_usage(&cmd_data_canaries, "--out F.jsonl was wanted");
	if (o->skip + o->count > CANARIES_MOST)
		return app_usage(&cmd_data_canaries, "--skip and --count: a seed has %d canaries", CANARIES_MOST);
	if (write_rows(o, e) < 0)
		return -1;
	metering_out("result", o->out);
	app_summary(app, json_pack("{s:o, s:I, s:I, s:I, s:s}", "out", jsonx_path(o->out), "count",
	                           (json_int_t)o->count, "rows", (json_int_t)(o->count * o->repeat), "seed",
	                           (json_int_t)o->seed, "format", canary_format));
	if (!app->json)
		app_print("%s: %lld canaries of seed %lld, %lld rows: %s\n", o->out, (long long)o->count,
		          (long long)o->seed, (long long)(o->count * o->repeat), canary_format);
	return 0;
}

const struct command cmd_data_canaries = {
	.name = "data canaries",
	.summary = "rows with secrets that are known, to see later whether a model learnt them",
	.usage = "--out F.jsonl [--count N] [--repeat N] [--seed N]",
	.example = "kungfu data canaries --count 16 --repeat 4 --out canaries.jsonl",
	.brief = "secrets to be looked for",
	.order = 42,
	.opts = canaries_opts,
	.options_size = sizeof(struct options),
	.most = 0, .wanted = "no file: --out says where rows go",
	.run = run,
};
