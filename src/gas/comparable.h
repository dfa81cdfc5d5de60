/* comparable: which uses of several methods may stand side by side, and where a method's quality is known from.
 *
 * Two uses are comparable when they did the same work: the same command on the same data, as many rows, and as long:
 * of one base model as many tokens read (another model may cut words differently), and of `generate`, whose prompts
 * the ledger does not keep, as many tokens read and, within a tenth, written. Where nothing is comparable nothing is
 * compared: the sentence says what each was used for, and which command would make a use that is. A use that is named
 * by its run's id is taken at that word: its data may be others (few-shot's longer prompts of the same questions), its
 * command and rows may not.
 *
 * A quality is of evaluations on one set of rows, the same for all: of the thing; of what was merged or converted from
 * it or it from; and, where there is none, of the evaluation that `tune` did itself. */
#ifndef GAS_COMPARABLE_H
#define GAS_COMPARABLE_H

#include "gas/evidence.h"

bool comparable(const struct entry *a, const struct entry *b);
/* v[n], each as evidence_find left it: chooses for all of them uses that are comparable, evaluations before answers,
 * then the newest, and done in the same way where there is one. names[n]: for the sentence of -1. *differs: they were
 * not all done in the same way (threads, kernels, machine, arithmetic). */
int comparable_choose(struct evidence **v, const char *const *names, size_t n, struct family *f, const char *compute,
                      bool *differs, struct err *e);
/* Hash of the rows on which most of these were evaluated; of as many the newest; NULL: none was. */
const char *comparable_rows(const struct evidence *const *v, size_t n, const struct family *f);
/* Of a thing on these rows; false: nothing tells. *from: the run that told it. */
bool comparable_quality(const struct family *f, int thing, const char *rows, struct span *quality,
                        const struct entry **from);
/* The command that evaluates a thing on these rows (NULL: FILE). */
void comparable_command(const struct family *f, int thing, const char *rows, const char *compute, char out[400]);

#endif
