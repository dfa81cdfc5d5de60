/* answer_file: rows with their answers, written in order, a line as soon as it is known, so that the same command goes
 * on where it was killed.
 *
 * Beside FILE stands FILE.resume.json, what was asked for: the rows' hash, the model's, the adapter's, the options. A
 * line that was cut off is taken away and answered again; lines that are there stay. Whatever does not fit is
 * refused. A pipe or a device has no past: all rows are answered into it, and nothing stands beside. */
#ifndef CMD_ANSWER_FILE_H
#define CMD_ANSWER_FILE_H

#include "base/io.h"
#include "data/rows.h"
#include "infer/generate.h"

struct answer_file {
	char *path;
	int lock;
	bool votes;
	bool streams;                  /* into a pipe or a device, which stays open */
	struct io_writer stream;
	size_t n;                      /* rows that are answered */
};

bool answer_file_streams(const char *path);

/* asked: an object; where a file is there it must have been begun with the same. rows outlive the file. votes: answers
 * are what the most of several say, and the share that says it stands beside them. */
int answer_file_open(struct answer_file *f, const char *path, bool votes, const json_t *asked, const struct rows *rows,
                     struct err *e);
/* Row f->n with its answer: `completion` and `finish_reason` are set, and `agreement` where the file votes. */
int answer_file_add(struct answer_file *f, const struct rows *rows, const struct generation *g, double agreement,
                    struct err *e);
void answer_file_close(struct answer_file *f);

#endif
