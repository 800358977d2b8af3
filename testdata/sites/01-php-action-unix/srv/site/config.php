<?php return ['password' => 'secret'];
