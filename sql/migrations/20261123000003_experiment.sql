-- migrate:up
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '10min';


CREATE TABLE liber.experiment (
    experiment_key integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    hypothesis text NOT NULL,
    salt text NOT NULL,
    control_share numeric(6, 4) NOT NULL CHECK (control_share > 0 AND control_share < 1),
    treatment_share numeric(6, 4) NOT NULL CHECK (treatment_share > 0 AND control_share + treatment_share <= 1),
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at > starts_at),
    simulated boolean NOT NULL DEFAULT false, -- its plays live in simulated_play and are never learnt from
    parameters jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);

-- First serving of a user in the experiment, in both arms.
CREATE TABLE liber.exposure (
    experiment_key integer NOT NULL REFERENCES liber.experiment ON DELETE CASCADE,
    user_id text NOT NULL,
    arm text NOT NULL CHECK (arm IN ('control', 'treatment')),
    exposed_at timestamptz NOT NULL,
    PRIMARY KEY (experiment_key, user_id)
);

-- Plays of simulated experiments, kept apart from behaviour. No foreign key: it costs half of the load.
CREATE TABLE liber.simulated_play (
    experiment_key integer NOT NULL,
    user_id text NOT NULL,
    day date NOT NULL,
    play_count integer NOT NULL,
    play_seconds double precision NOT NULL,
    PRIMARY KEY (experiment_key, user_id, day)
);

-- Metrics materialised once per user and day (UTC), from first exposure on; negative days are the pre-period.
CREATE TABLE liber.user_metric_day (
    experiment_key integer NOT NULL,
    user_id text NOT NULL,
    arm text NOT NULL,
    day date NOT NULL,
    pre_period boolean NOT NULL,
    play_count integer NOT NULL,
    play_seconds double precision NOT NULL,
    PRIMARY KEY (experiment_key, user_id, day)
);

-- A finished readout never changes.
CREATE TABLE liber.readout (
    readout_key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    experiment_key integer NOT NULL REFERENCES liber.experiment ON DELETE CASCADE,
    watermark timestamptz NOT NULL,
    input_sha256 text NOT NULL,        -- of the data read: the same data give no second record
    result jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (experiment_key, input_sha256)
);

-- migrate:down
DROP TABLE liber.readout, liber.user_metric_day, liber.simulated_play, liber.exposure, liber.experiment;
