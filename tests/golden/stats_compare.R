# Makes compare_curves.csv (invented curves) and prints what stats_compare.c expects of it, by R 4.2.2 with coin 1.4-2 (Debian 12).
# Run: Rscript tests/golden/stats_compare.R
suppressPackageStartupMessages(library(coin))
options(digits = 17)
say <- function(name, ...) cat(name, format(c(...), digits = 17), "\n")
set.seed(4242)
labels <- c(50, 75, 100, 125, 150)
strategies <- c("random", "margin", "kappa")
rows <- NULL
for (d in 1:6) for (r in 0:6) {
  level <- 0.5 + 0.04 * d + rnorm(1, sd = 0.02)
  start <- level - 0.2
  for (s in 1:3) {
    y <- level - 0.2 * (labels / 50)^-(1 + c(0, 0.15, 0.3 * (d %% 3 - 1))[s]) + rnorm(5, sd = 0.012)
    y[1] <- start
    rows <- rbind(rows, data.frame(
      study = "invented", dataset = paste0("set", d), model = "linear", setting = "", strategy = strategies[s], replicate = r,
      round = 0:4, labels = labels, cost = labels * 2 + 0.5 * s * (0:4), seed = 7, streams = 1, digest = paste0("digest", d),
      budget = 150, end = "labels", accuracy = round(y, 4)))
  }
  if (r == 0)
    rows <- rbind(rows, data.frame(study = "invented", dataset = paste0("set", d), model = "linear", setting = "",
      strategy = "full-data", replicate = 0, round = 0, labels = 1000, cost = 0, seed = 7, streams = 1, digest = paste0("digest", d),
      budget = "", end = "pool", accuracy = round(0.48 + 0.04 * d, 4)))
}
write.csv(rows, "tests/golden/compare_curves.csv", row.names = FALSE, quote = FALSE)
rows <- rows[rows$strategy != "full-data", ]

area <- function(x, y) sum(diff(x) * (head(y, -1) + tail(y, -1)) / 2) / (max(x) - min(x))
cell <- function(d, s, r) rows[rows$dataset == d & rows$strategy == s & rows$replicate == r, ]
areas <- function(d, s) sapply(0:6, function(r) with(cell(d, s, r), area(labels, accuracy)))
finals <- function(d, s) sapply(0:6, function(r) tail(cell(d, s, r)$accuracy, 1))
signed <- function(x, y) as.numeric(pvalue(wilcoxsign_test(x ~ y, distribution = "exact", zero.method = "Pratt")))
a <- lapply(setNames(strategies, strategies), function(s) areas("set1", s))
t1 <- t.test(a$margin, a$random, paired = TRUE); t2 <- t.test(a$kappa, a$random, paired = TRUE)
say("set1 margin area, difference, interval, p", mean(a$margin), t1$estimate, t1$conf.int, t1$p.value)
say("set1 kappa p; holm of both", t2$p.value, p.adjust(c(t1$p.value, t2$p.value), "holm"))
say("set1 wilcoxon holm", p.adjust(c(signed(a$margin, a$random), signed(a$kappa, a$random)), "holm"))
say("set1 kappa detects at 0.05 / 2", power.t.test(n = 7, sd = sd(a$kappa - a$random), sig.level = 0.025, power = 0.8,
  type = "paired", strict = TRUE, tol = 1e-12)$delta)
f <- lapply(setNames(strategies, strategies), function(s) finals("set1", s))
say("set1 margin final difference, p", mean(f$margin - f$random), t.test(f$margin, f$random, paired = TRUE)$p.value)
m <- function(s, k) mean(sapply(0:6, function(r) cell("set1", s, r)$accuracy[k]))
end <- m("random", 5)
say("set1 margin deficiency", sum(end - sapply(2:5, function(k) m("margin", k))) / sum(end - sapply(2:5, function(k) m("random", k))))
# area over cost: every cell over the range of cost that all of set1 reach
cost_area <- function(s, r, from, to) {
  x <- cell("set1", s, r)$cost; y <- cell("set1", s, r)$accuracy
  grid <- sort(unique(c(from, to, x[x > from & x < to])))
  area(grid, approx(x, y, grid)$y)
}
say("set1 margin area over cost, 100 to 302", mean(sapply(0:6, function(r) cost_area("margin", r, 100, 302))))
# labels to 0.9 of the full-data accuracy
cross <- function(y, target) {
  for (i in 1:4) if (y[i] >= target && y[i + 1] >= target)
    return(if (i == 1) labels[1] else labels[i - 1] + 25 * (target - y[i - 1]) / (y[i] - y[i - 1]))
  NA
}
at <- function(s) sapply(0:6, function(r) cross(cell("set1", s, r)$accuracy, 0.9 * 0.52))
suppressPackageStartupMessages(library(survival))
for (s in strategies) {
  x <- at(s)
  say(paste("set1", s, "reached, median"), sum(!is.na(x)),
      summary(survfit(Surv(ifelse(is.na(x), 150, x), !is.na(x)) ~ 1))$table["median"])
}
sets <- paste0("set", 1:6)
means <- t(sapply(sets, function(d) sapply(strategies, function(s) mean(areas(d, s)))))
fr <- friedman.test(means)
say("mean ranks", colMeans(t(apply(-means, 1, rank))))
iman <- 5 * fr$statistic / (6 * 2 - fr$statistic)
say("friedman, iman-davenport", fr$statistic, fr$p.value, iman, pf(iman, 2, 10, lower.tail = FALSE))
pairs <- p.adjust(c(signed(means[, 1], means[, 2]), signed(means[, 1], means[, 3]), signed(means[, 2], means[, 3])), "holm")
say("pairwise wilcoxon holm", pairs)
wins <- function(s) sapply(sets, function(d) {
  p <- p.adjust(sapply(c("margin", "kappa"), function(o) t.test(areas(d, o), areas(d, "random"), paired = TRUE)$p.value), "holm")
  names(p) <- c("margin", "kappa")
  if (p[s] > 0.05) 0 else sign(mean(areas(d, s) - areas(d, "random")))
})
say("margin won, not rejected, lost", sum(wins("margin") > 0), sum(wins("margin") == 0), sum(wins("margin") < 0))
say("kappa won, not rejected, lost", sum(wins("kappa") > 0), sum(wins("kappa") == 0), sum(wins("kappa") < 0))
# a second version in which kappa loses 0.004 (odd replicates) or 0.002 everywhere in set1, and nothing else changes
shift <- ifelse((0:6) %% 2 == 1, 0.004, 0.002)
p <- t.test(a$kappa - shift, a$kappa, paired = TRUE)$p.value
say("second version: kappa p, times 18 pairs", p, 18 * p)
w <- t.test(a$kappa - shift, a$kappa)
say("welch p, interval", w$p.value, w$conf.int)
