# Values for stats_evidence.c, by R 4.2.2 with coin 1.4-2, survival 3.5-3 and boot (Debian 12).
# Run: Rscript tests/golden/stats_evidence.R
options(digits = 17, warn = 1)
say <- function(name, ...) cat(name, format(c(...), digits = 17), "\n")

# ---- distributions ----
say("pt upper", pt(c(1.3, -0.4, 2.776, 1.7), c(4, 9, 2.5, 150), ncp = c(0.7, 1.9, 3.1, 2.2), lower.tail = FALSE))
say("ptukey", ptukey(c(0.8, 2.3, 3.633, 5.1), c(2, 3, 4, 17), Inf))
say("qtukey", qtukey(c(0.95, 0.9, 0.95, 0.99), c(2, 4, 8, 20), Inf))

# ---- power ----
say("power.t.test paired n 7 sd 0.031 alpha 0.05/3",
    power.t.test(n = 7, sd = 0.031, sig.level = 0.05 / 3, power = 0.8, type = "paired", strict = TRUE, tol = 1e-12)$delta)
say("power.t.test two-sample n 9 sd 1.7",
    power.t.test(n = 9, sd = 1.7, sig.level = 0.05, power = 0.8, strict = TRUE, tol = 1e-12)$delta)
say("sd factors n 6", sqrt(5 / qchisq(c(0.975, 0.025), 5)))
needed <- function(sd, n0, margin, alpha, m) {
  s <- sd * sqrt((n0 - 1) / qchisq(0.2, n0 - 1))
  n <- 5
  while (pt(-qt(1 - alpha / m, n - 1), n - 1, ncp = -margin * sqrt(n) / s) < 0.8) n <- n + 1
  n
}
say("needed", needed(0.02, 10, 0.02, 0.05, 1), needed(0.02, 10, 0.02, 0.05, 7), needed(0.07, 10, 0.01, 0.05, 1),
    needed(0.001, 5, 0.02, 0.05, 3), needed(0.015, 30, 0.02, 0.025, 4))

# ---- Welch ----
x <- c(0.8134, 0.8021, 0.8215, 0.7988, 0.8102, 0.8177)
y <- c(0.7921, 0.8043, 0.7876, 0.7990)
w <- t.test(x, y)
say("welch", w$statistic, w$parameter, w$p.value, w$conf.int)

# ---- Wilcoxon: Hollander & Wolfe (1973), depression before and after; and ties with zeros by coin ----
before <- c(1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30)
after <- c(0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29)
say("wilcoxon depression", wilcox.test(before, after, paired = TRUE, exact = TRUE)$p.value)
suppressPackageStartupMessages(library(coin))
u <- c(0.031, 0.012, 0.012, 0.054, 0.027, 0.040, 0.008, 0.033, 0.012, 0.061, 0.020)
v <- c(0.031, 0.020, 0.004, 0.031, 0.021, 0.046, 0.008, 0.010, 0.019, 0.030, 0.007)
say("wilcoxon pratt", pvalue(wilcoxsign_test(u ~ v, distribution = "exact", zero.method = "Pratt")))

# ---- Friedman ----
# Demsar (2006), table 6: AUC of C4.5, C4.5+m, C4.5+cf, C4.5+m+cf on 14 data sets, as printed. Two of the mean ranks
# printed beside it (2.893, 1.964) are not those of the printed values (2.929, 1.929); both are checked, each by itself.
auc <- matrix(c(
  0.763, 0.768, 0.771, 0.798, 0.599, 0.591, 0.590, 0.569, 0.954, 0.971, 0.968, 0.967, 0.628, 0.661, 0.654, 0.657,
  0.882, 0.888, 0.886, 0.898, 0.936, 0.931, 0.916, 0.931, 0.661, 0.668, 0.609, 0.685, 0.583, 0.583, 0.563, 0.625,
  0.775, 0.838, 0.866, 0.875, 1.000, 1.000, 1.000, 1.000, 0.940, 0.962, 0.965, 0.962, 0.619, 0.666, 0.614, 0.669,
  0.972, 0.981, 0.975, 0.975, 0.957, 0.978, 0.946, 0.970), ncol = 4, byrow = TRUE)
f <- friedman.test(auc)
ranks <- t(apply(-auc, 1, rank))
n <- nrow(auc); k <- ncol(auc)
iman <- (n - 1) * f$statistic / (n * (k - 1) - f$statistic)
say("demsar ranks", colMeans(ranks))
say("demsar friedman", f$statistic, f$p.value, iman, pf(iman, k - 1, (k - 1) * (n - 1), lower.tail = FALSE))
say("demsar critical difference", qtukey(0.95, k, Inf) / sqrt(2) * sqrt(k * (k + 1) / (6 * n)))
pairs <- combn(k, 2)
p <- apply(pairs, 2, function(ij)
  pvalue(wilcoxsign_test(auc[, ij[1]] ~ auc[, ij[2]], distribution = "exact", zero.method = "Pratt")))
say("demsar pairwise holm (12 13 14 23 24 34)", p.adjust(p, "holm"))

# ---- Kaplan-Meier ----
suppressPackageStartupMessages(library(survival))
median_of <- function(x, event) unname(summary(survfit(Surv(x, event) ~ 1))$table["median"])
say("km", median_of(c(230, 180, 410, 600, 325, 600, 280, 600), c(1, 1, 1, 0, 1, 0, 1, 0)),
    median_of(c(230, 180, 410, 600, 325, 600), c(1, 1, 1, 0, 1, 0)), median_of(c(150, 260, 300, 350), c(0, 1, 0, 1)))

# ---- curve fit ----
labels <- c(100, 150, 200, 250, 300, 400, 500, 600)
mean <- c(0.412, 0.498, 0.551, 0.583, 0.611, 0.640, 0.662, 0.671)
se <- c(0.011, 0.009, 0.008, 0.007, 0.0065, 0.005, 0.0045, 0.004)
law <- deriv(~ a - b * exp(-c * log(labels)), c("a", "b", "c"), function(a, b, c) NULL)
for (weights in list(1 / se^2, rep(1, 8))) {
  first <- coef(nls(mean ~ cbind(1, -labels^-c), start = list(c = 0.7), weights = weights, algorithm = "plinear"))
  fit <- nls(mean ~ law(a, b, c), start = list(a = first[[2]], b = first[[3]], c = first[[1]]), weights = weights,
             control = nls.control(tol = 1e-7, maxiter = 500))
  s <- summary(fit)
  say("fit a b c", coef(fit))
  say("fit se, residual", s$coefficients[, 2], s$sigma)
}

# ---- BCa on draws that C can make: indices are Park and Miller's 16807 s mod 2^31 - 1 from s = 1, mod n ----
values <- c(0.021, -0.013, 0.034, 0.008, 0.027, 0.015, -0.002, 0.041, 0.019, 0.011, 0.090)
n <- length(values)
s <- 1
draw <- function() {
  total <- 0
  for (i in 1:n) {
    s <<- (16807 * s) %% 2147483647
    total <- total + values[s %% n + 1]
  }
  total / n
}
draws <- replicate(1999, draw())
value <- mean(values)
z0 <- qnorm((sum(draws < value - 1e-12) + 0.5 * sum(abs(draws - value) <= 1e-12)) / length(draws))
jack <- sapply(1:n, function(i) mean(values[-i]))
d <- mean(jack) - jack
a <- sum(d^3) / (6 * sum(d^2)^1.5)
z <- z0 + qnorm(c(0.025, 0.975))
say("bca ties", sum(abs(draws - value) <= 1e-12))
say("bca by formula", quantile(draws, pnorm(z0 + z / (1 - a * z)), type = 7))
suppressPackageStartupMessages(library(boot))
set.seed(1)
many <- c(values, values * 0.7 + 0.004, values * 1.3 - 0.01)
b <- boot(many, function(x, i) mean(x[i]), R = 200000)
say("bca of boot, 200,000 draws", boot.ci(b, type = "bca")$bca[4:5])
own <- c(1.21, 0.87, 1.43, 0.66, 1.05, 0.92)
base <- c(1.30, 1.25, 1.18, 0.97, 1.41, 1.02)
d <- boot(cbind(own, base), function(x, i) sum(x[i, 1]) / sum(x[i, 2]), R = 200000)
say("deficiency percentile, 200,000 draws", sum(own) / sum(base), boot.ci(d, type = "perc")$percent[4:5])
