/* pretrain_view: the loss of a run as its metrics.jsonl has it, on what was learnt and on what was held out, as SVG in
 * its folder and in braille dots for a terminal. */
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/term.h"
#include "chart/chart.h"
#include "cmd/pretrain/pretrain.h"

enum { COLUMNS = 76, ROWS = 16 };

struct curve { double *x, *y; size_t n; };

static void add(struct curve *c, const json_t *line, const char *key)
{
	const json_t *value = json_object_get(line, key);

	if (!json_is_number(value))
		return;
	c->x[c->n] = json_number_value(json_object_get(line, "step"));
	c->y[c->n++] = json_number_value(value);
}

static void take(struct curve c[2], const char *text, size_t n)
{
	for (size_t at = 0; at < n;) {
		struct err ignored = ERR_INIT;
		const char *end = memchr(text + at, '\n', n - at);
		size_t length = end ? (size_t)(end - text) - at : n - at;
		json_t *line = jsonx_load(text + at, length, "metrics.jsonl", &ignored);
		add(&c[0], line, "loss");
		add(&c[1], line, "eval_loss");
		json_decref(line);
		at += length + 1;
	}
}

static int draw(const struct curve c[2], const char *dir, bool quiet, struct err *e)
{
	struct chart_series s[] = {
		{ .name = "learnt", .x = c[0].x, .y = c[0].y, .n = c[0].n },
		{ .name = "held out", .x = c[1].x, .y = c[1].y, .n = c[1].n },
	};
	struct chart chart = { .title = "loss", .x_label = "step", .y_label = "nats a token", .series = s,
		               .n_series = c[1].n ? 2 : 1 };
	char *path = io_join(dir, "loss.svg");
	struct buf out = BUF_INIT, dots = BUF_INIT;

	chart_svg(&out, &chart, 1);
	int status = io_write(path, out.data, out.len, e);
	if (!quiet && !status) {
		chart_braille(&dots, &chart, COLUMNS, ROWS, term_color(STDERR_FILENO));
		for (char *line = dots.data, *end; line && *line; line = end ? end + 1 : NULL) {
			end = strchr(line, '\n');
			if (end)
				*end = 0;
			log_say("%s", line);
		}
	}
	buf_release(&out);
	buf_release(&dots);
	mem_free(path);
	return status;
}

int pretrain_curve(const char *dir, bool quiet, struct err *e)
{
	char *path = io_join(dir, "metrics.jsonl");
	struct buf text = BUF_INIT;
	int status = io_read(&text, path, e);
	size_t lines = 1;

	for (size_t i = 0; i < text.len; i++)
		lines += text.data[i] == '\n';
	struct curve c[2];
	for (int i = 0; i < 2; i++)
		c[i] = (struct curve){ mem_array(lines, sizeof(double)), mem_array(lines, sizeof(double)), 0 };
	if (!status) {
		take(c, text.data, text.len);
		status = draw(c, dir, quiet, e);
	}
	for (int i = 0; i < 2; i++) {
		mem_free(c[i].x);
		mem_free(c[i].y);
	}
	buf_release(&text);
	mem_free(path);
	return status;
}
