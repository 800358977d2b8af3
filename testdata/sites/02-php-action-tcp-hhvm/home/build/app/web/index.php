<?php echo 'tested';
