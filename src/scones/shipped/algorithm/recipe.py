"""Every choice of the default recipe, in one block.

Used when a request names only what it must (`image_shape`, `num_classes`,
`num_training_samples`) and perhaps `epochs` and `mini_batch_size`. Numbers only: this file
imports nothing, so that it reads at one sitting and costs nothing.
"""

# Length
EPOCHS = 30  # passes over the training pictures
MINI_BATCH_SIZE = 32  # pictures a step

# Network: a stem, then groups of two convolutions, each at half the side of the one before
STEM_WIDTH = 16  # channels; at full side every one is dear
WIDTHS = (24, 48, 96)  # channels of the groups
STEM_SIDE = 32  # pixels: strided convolutions halve a picture until its longer side is at most this

# Optimisation: Muon for convolution kernels, Nesterov momentum for the rest, rate up and down once
PEAK_RATE = 0.06  # at the top of the triangle; of a kernel, the share that a step replaces
WARM_UP = 0.2  # share of all steps spent climbing
MOMENTUM = 0.9
WEIGHT_DECAY = 5e-3  # on the last layer only
LABEL_SMOOTHING = 0.1  # share of the target spread over all classes and turns
AVERAGE_DECAY = 0.99  # a step: weights are averaged over about the last hundred

# Augmentation of each training picture
FLIP = 0.5  # chance of a mirror image
ROTATION = 15.0  # degrees either way
SCALE = 0.2  # natural logarithm, either way
ASPECT = 0.1  # natural logarithm, either way
SHEAR = 0.1  # either way
SHIFT = 0.125  # of the side, either way
CONTRAST = 0.2  # natural logarithm, either way
BRIGHTNESS = 0.2  # of the spread of the pixels, either way
TINT = 0.07  # the same for one colour at a time

# Calibration
HELD_OUT = 0.1  # share of the training pictures kept aside to fit the temperature
HELD_OUT_MOST = 256  # pictures; more would not sharpen one number
HELD_OUT_LEAST = 20  # pictures; with fewer the temperature stays 1
