/* fuzz: any bytes as an lm-eval task's YAML, over a few rows that are at hand, is a task or is refused with a sentence.
 * What is asked by it is answered by what the bytes are, and scored; every sample is JSON. After the first zero rows of
 * its own may stand, a JSON array. */
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "data/chat.h"
#include "exam/exam.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char rows[] =
	"[{\"question\": \"One or two?\", \"choices\": [\"one\", \"two\"], \"answer\": 1, \"text\": \"a b\"},"
	" {\"question\": \"(A) \\u00e9\\n\", \"choices\": [\"x\", \"y\"], \"answer\": 0, \"text\": \"#### 4\"},"
	" {\"question\": \"\", \"choices\": [\"x\", \"y\"], \"answer\": \"1\", \"text\": \"\","
	" \"n\": null, \"f\": 0.5}]";

static char folder[] = "/dev/shm/kungfu-fuzz.XXXXXX";

static void remove_folder(void) { io_remove_tree(folder, NULL); }

static char *file_of(const char *text, size_t n)
{
	static bool begun;

	if (!begun && (!mkdtemp(folder) || atexit(remove_folder)))
		BUG("%s is not made", folder);
	begun = true;
	char *path = io_join(folder, "task.yaml");
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, text, n) != (ssize_t)n || close(fd))
		BUG("%s is not written", path);
	return path;
}

static void answer(struct exam_asked *a, const char *said, size_t n)
{
	for (size_t i = 0; i < a->n; i++) {
		struct exam_request *q = &a->items[i];
		size_t k = n ? i * 7 % n : 0;
		if (!q->context || (q->continuation == NULL) != (a->task->output == EXAM_GENERATE))
			BUG("request %zu asks nothing", i);
		q->logprob = n ? -(double)(uint8_t)said[k] / 16 : -1;
		q->greedy = n && said[k] & 1;
		if (a->task->output != EXAM_GENERATE)
			continue;
		q->answers = json_array();
		for (int r = 0; r < a->task->repeats; r++) {
			json_t *text = json_stringn(said + k, MIN(n - k, (size_t)(20 + r)));
			json_array_append_new(q->answers, text ? text : json_string("The answer is (A) 4.\n"));
		}
	}
}

static void score(const struct exam_asked *a)
{
	struct exam_scores s;
	struct err e = ERR_INIT;

	if (exam_score(a, &s, &e) < 0) {
		if (!*e.msg)
			BUG("no score, without a word");
		return;
	}
	for (size_t f = 0; f < s.n_filters; f++)
		for (size_t i = 0; i < a->n_docs; i++) {
			json_t *line = exam_sample(&s, f, i, &e);
			char *text = line ? json_dumps(line, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
			if (!text && !*e.msg)
				BUG("row %zu is no line", i);
			mem_free(text);
			json_decref(line);
		}
	exam_scores_release(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	size_t head = n ? strnlen((const char *)data, n) : 0;
	json_t *own = head < n ? json_loadb((const char *)data + head + 1, n - head - 1, JSON_ALLOW_NUL, NULL) : NULL;
	bool some = json_array_size(own) && json_array_size(own) < 9;
	json_t *docs = some ? json_incref(own) : json_loads(rows, 0, NULL);
	char *file = file_of((const char *)data, head);
	struct exam_source from = { .num_fewshot = -1, .docs = docs };
	struct exams set;
	struct err e = ERR_INIT;

	if (n <= 4096 && exams_open(&set, (const char *const[]){ file }, 1, &from, &e) == 0) {
		struct text_codec none = { 0 };
		struct exam_how how = { .codec = &none, .seed = 1234 };
		struct exam_asked a;
		for (size_t i = 0; i < set.n; i++) {
			if (exam_ask(&set.items[i], &how, &a, &e) == 0) {
				answer(&a, (const char *)data, head);
				score(&a);
				exam_asked_release(&a);
			} else if (!*e.msg) {
				BUG("rows are refused without a word");
			}
		}
		exams_release(&set);
	} else if (n <= 4096 && !*e.msg) {
		BUG("a task is refused without a word");
	}
	json_decref(docs);
	json_decref(own);
	mem_free(file);
	return 0;
}
